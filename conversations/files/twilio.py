"""Readers of Twilio's two exports: the console's message log (CSV), the bulk export (JSON)."""

import csv
import gzip
import io
import re
from collections.abc import Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO, cast

from marshmallow import ValidationError

from conversations.files import formats
from conversations.files.formats import BROKEN_FILE, UnreadableFile, refuse_other_formats
from conversations.files.ndjson import (
    MAX_LINE_BYTES,
    TOO_LONG,
    Check,
    Export,
    Row,
    explain,
    read_lines,
    read_ndjson,
)
from conversations.inbox.message_ids import carrier_message_id
from schemas.create_message import ImportMessageSchema
from schemas.fields import parse_instant

# The messages of these statuses were not exchanged, or are not yet: a later export has them then.
NOT_EXCHANGED = ("failed", "undelivered", "canceled")
NOT_YET_EXCHANGED = ("accepted", "scheduled", "queued", "sending", "receiving")
DIRECTIONS = ("inbound", "outbound-api", "outbound-call", "outbound-reply")
SID = re.compile(r"(SM|MM)[0-9a-zA-Z]{1,64}")
NUM_SEGMENTS = re.compile(r"[0-9]{1,3}")
SPACED_DATE = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}) ([0-9]{2}:[0-9]{2}:[0-9]{2}) ?"
    r"(?:(UTC|GMT|Z)|([+-][0-9]{2}):?([0-9]{2}))"
)
RFC_2822_DATE = re.compile(
    r"(?:[A-Za-z]{3}, )?[0-9]{1,2} [A-Za-z]{3} [0-9]{4} [0-9]{2}:[0-9]{2}(?::[0-9]{2})? "
    r"(?:[+-][0-9]{4}|GMT|UTC|UT|Z)"
)
# What an export calls the fields that a complaint names.
JSON_NAMES = {"created_at": "date_sent", "segment_count": "num_segments"}
CSV_COLUMNS = {
    "From": "from",
    "To": "to",
    "Body": "body",
    "Status": "status",
    "SentDate": "date_sent",
    "NumSegments": "num_segments",
    "Sid": "sid",
    "Direction": "direction",
}
CSV_NAMES = {name: column for column, name in CSV_COLUMNS.items()}
CSV_NAMES |= {field: CSV_NAMES[name] for field, name in JSON_NAMES.items()}


def read_json(file: BinaryIO, region: str | None = None) -> Export:
    """Read the messages of a bulk export day file, gzipped or not, as read_csv does."""
    plain = _gunzip(file)
    refuse_other_formats(plain, "twilio-json")
    rows = read_ndjson(plain, _message_check(region), JSON_NAMES)
    return Export(b"", rows, JSON_NAMES)


def read_csv(file: BinaryIO, region: str | None = None) -> Export:
    """Read a console message log. Raises UnreadableFile without its header.

    Numbers without a plus sign are national ones of the region (ISO 3166), if one is given.
    """
    refuse_other_formats(file, "twilio-csv")
    lines = _RememberingLines(file)
    reader = csv.reader(lines, strict=True)
    try:
        header = next(filter(None, reader), [])
    except (csv.Error, RowTooLong, *BROKEN_FILE):
        header = []
    missing = [name for name in CSV_COLUMNS if header.count(name) != 1]
    if missing:
        raise UnreadableFile(f"the header must have one column {', one '.join(missing)}")
    rows = _read_csv(lines, reader, header, _message_check(region))
    return Export(lines.take(), rows, CSV_NAMES)


def _gunzip(file: BinaryIO) -> BinaryIO:
    buffered: Any = file
    if not hasattr(file, "peek"):
        buffered = io.BufferedReader(cast(io.RawIOBase, file))
    is_gzip = formats.head_of(buffered).startswith(formats.GZIP)
    return cast(BinaryIO, gzip.GzipFile(fileobj=buffered) if is_gzip else buffered)


def _message_check(region: str | None) -> Check:
    """Return a function that returns the checked fields of a message resource.

    It returns None for a message that was not exchanged.
    """
    schema = ImportMessageSchema(region)

    def check(message: dict[str, Any]) -> dict[str, Any] | None:
        if message.get("status") in NOT_EXCHANGED + NOT_YET_EXCHANGED:
            return None
        return schema.check(_translate(message)) | {"has_carrier_id": True}

    return check


def _translate(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message resource as a row of an NDJSON import. Raises ValidationError."""
    sid = SID.fullmatch(str(message.get("sid")))
    if not sid:
        raise ValidationError({"sid": "must be a Twilio message SID"})
    direction = message.get("direction")
    if direction not in DIRECTIONS:
        raise ValidationError({"direction": f"must be one of {', '.join(DIRECTIONS)}"})
    sent = message.get("date_sent")
    is_mms, body = sid[1] == "MM", message.get("body")
    row = {
        "id": str(carrier_message_id(sid[0])),
        "direction": direction.partition("-")[0],
        "from": message.get("from"),
        "to": message.get("to"),
        # A text message without a text had none, or its text was removed at Twilio.
        "body": (None if is_mms else "") if body in ("", None) else body,
        "channel": "mms" if is_mms else "sms",
        "created_at": _parse_date(message.get("date_created") if sent is None else sent),
    }
    segments = message.get("num_segments")
    if segments not in (None, "", "0", 0):
        text = str(segments)
        row["segment_count"] = int(text) if NUM_SEGMENTS.fullmatch(text) else text
    return row


def _parse_date(text: Any) -> str:
    """Return one of Twilio's spellings of an instant as RFC 3339. Raises ValidationError."""
    try:
        if RFC_2822_DATE.fullmatch(text):
            instant = parsedate_to_datetime(re.sub("(GMT|UTC|UT|Z)$", "+0000", text))
        elif spaced := SPACED_DATE.fullmatch(text):
            date, time, _, hours, minutes = spaced.groups()
            instant = parse_instant(f"{date}T{time}{hours or '+00'}:{minutes or '00'}")
        else:
            instant = parse_instant(text)
    except (ValueError, TypeError, LookupError):
        raise ValidationError({"date_sent": "must be a date and time with a UTC offset"}) from None
    return instant.replace(tzinfo=instant.tzinfo or UTC).isoformat()


class RowTooLong(Exception):
    """A row of a CSV file takes more than MAX_LINE_BYTES, over one line or several."""


class _RememberingLines:
    """The lines of a CSV file as text, and the bytes of those that the current row took."""

    def __init__(self, file: BinaryIO):
        self.count = 0
        self._lines = read_lines(file)
        self._taken: list[bytes] = []
        self._taken_bytes = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line, is_cut = next(self._lines)
        self.count += 1
        self._taken.append(line)
        self._taken_bytes += len(line)
        if is_cut or self._taken_bytes > MAX_LINE_BYTES:
            raise RowTooLong
        return line.decode("utf-8-sig" if self.count == 1 else "utf-8", "surrogateescape")

    def take(self) -> bytes:
        """Return what was taken since the last time."""
        raw = b"".join(self._taken)
        self._taken.clear()
        self._taken_bytes = 0
        return raw


def _read_csv(
    lines: _RememberingLines, reader: Iterator[list[str]], header: list[str], check: Check
) -> Iterator[Row]:
    while True:
        start = lines.count + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(start, lines.take(), None, f"is not CSV: {error}")
        except RowTooLong:
            yield Row(start, lines.take(), None, TOO_LONG)
        except BROKEN_FILE as error:
            yield Row(start, lines.take(), None, f"cannot be read, nor what follows: {error}")
            return
        else:
            raw = lines.take()
            if not raw.isspace():
                yield _csv_row(start, raw, header, cells, check)


def _csv_row(line: int, raw: bytes, header: list[str], cells: list[str], check: Check) -> Row:
    try:
        raw.decode()
        if len(cells) != len(header):
            raise ValueError(f"has {len(cells)} columns where the header has {len(header)}")
        row = dict(zip(header, cells, strict=True))
        return Row(line, raw, check({CSV_COLUMNS[name]: row[name] for name in CSV_COLUMNS}))
    except (ValidationError, ValueError) as error:
        return Row(line, raw, None, explain(error, CSV_NAMES))
