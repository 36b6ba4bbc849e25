"""Readers of Twilio's two exports: the console's message log (CSV), the bulk export (JSON)."""

import csv
import gzip
import io
import re
import uuid
from collections.abc import Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO, cast

from marshmallow import ValidationError

from conversations.imports.ndjson import (
    BROKEN_FILE,
    MAX_LINE_BYTES,
    TOO_LONG,
    Check,
    Export,
    Row,
    UnreadableFile,
    explain,
    read_lines,
    read_ndjson,
)
from schemas.create_message import ImportMessageSchema
from schemas.fields import Text, parse_instant

# Namespace (RFC 9562 section 5.5) of the ids that SIDs become; never to be changed.
SID_NAMESPACE = uuid.UUID("5b1c8a0e-3c1d-4c53-8d07-9f5d3e7a6b02")

NOT_EXCHANGED = ("failed", "undelivered", "canceled")
DIRECTIONS = {
    "inbound": "inbound",
    "outbound-api": "outbound",
    "outbound-call": "outbound",
    "outbound-reply": "outbound",
}
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


class TwilioMessageSchema(ImportMessageSchema):
    """A message of an export. An MMS may have neither text nor media: Twilio exports no media."""

    def check_together(self, checked: dict[str, Any]) -> None:
        """Refuse an SMS without a text."""
        if checked.get("body") is None and checked.get("channel") != "mms":
            raise ValidationError({"body": Text.complaint})


def read_json(file: BinaryIO) -> Export:
    """Read the messages of a bulk export day file, gzipped or not."""
    return Export(b"", read_ndjson(_gunzip(file), _message_check()))


def read_csv(file: BinaryIO) -> Export:
    """Read a console message log. Raises UnreadableFile without its header."""
    lines = _RememberingLines(file)
    reader = csv.reader(lines, strict=True)
    try:
        header = next(filter(None, reader), [])
    except (csv.Error, RowTooLong, *BROKEN_FILE):
        header = []
    missing = [name for name in CSV_COLUMNS if header.count(name) != 1]
    if missing:
        raise UnreadableFile(f"the header must have one column {', one '.join(missing)}")
    return Export(lines.take(), _read_csv(lines, reader, header))


def _gunzip(file: BinaryIO) -> BinaryIO:
    buffered: Any = file
    if not hasattr(file, "peek"):
        buffered = io.BufferedReader(cast(io.RawIOBase, file))
    is_gzip = buffered.peek(1)[:1] == b"\x1f"
    return cast(BinaryIO, gzip.GzipFile(fileobj=buffered) if is_gzip else buffered)


def _message_check() -> Check:
    """Return a function that returns the checked fields of a message resource.

    It returns None for a message that was never exchanged.
    """
    schema = TwilioMessageSchema()

    def check(message: dict[str, Any]) -> dict[str, Any] | None:
        if message.get("status") in NOT_EXCHANGED:
            return None
        return schema.check(_translate(message))

    return check


def _translate(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message resource as a row of an NDJSON import. Raises ValidationError."""
    sid = SID.fullmatch(str(message.get("sid")))
    if not sid:
        raise ValidationError({"sid": "must be a Twilio message SID"})
    direction = DIRECTIONS.get(str(message.get("direction")))
    if not direction:
        raise ValidationError({"direction": f"must be one of {', '.join(DIRECTIONS)}"})
    sent = message.get("date_sent")
    row = {
        "id": str(uuid.uuid5(SID_NAMESPACE, sid[0])),
        "direction": direction,
        "from": message.get("from"),
        "to": message.get("to"),
        "body": None if message.get("body") == "" else message.get("body"),
        "channel": "mms" if sid[1] == "MM" else "sms",
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
    lines: _RememberingLines, reader: Iterator[list[str]], header: list[str]
) -> Iterator[Row]:
    check = _message_check()
    while True:
        start = lines.count + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield Row(start, lines.take(), None, f"is not CSV: {error}")
            continue
        except RowTooLong:
            yield Row(start, lines.take(), None, TOO_LONG)
            continue
        except BROKEN_FILE as error:
            yield Row(start, lines.take(), None, f"cannot be read, nor what follows: {error}")
            return
        if cells is None:
            return
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
        return Row(line, raw, None, explain(error))
