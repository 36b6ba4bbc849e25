"""Readers that turn a foreign export into messages or consent events, row by row.

A row that cannot be read is refused, never dropped: it keeps the bytes it came in, so that it can
be copied out, mended and imported again.
"""

import csv
import gzip
import io
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import BinaryIO, NamedTuple

import orjson
from marshmallow import ValidationError, validates_schema

import inbox
from schemas.base import RequestSchema
from schemas.create_message import ImportMessageSchema
from schemas.fields import Text, parse_instant
from schemas.record_consent import RecordConsentSchema

# Namespaces (RFC 9562 section 5.5) of the ids that rows without a UUID get; never to be changed.
CONTENT_NAMESPACE = uuid.UUID("0c8a3e5e-6d0a-4b0e-9d5f-3f1f8f6f2c01")
TWILIO_NAMESPACE = uuid.UUID("5b1c8a0e-3c1d-4c53-8d07-9f5d3e7a6b02")

# Small enough to hold in memory, large enough that a commit a batch costs nothing.
BATCH = 5000

NOT_EXCHANGED = ("failed", "undelivered", "canceled")
DIRECTIONS = {
    "inbound": "inbound",
    "outbound-api": "outbound",
    "outbound-call": "outbound",
    "outbound-reply": "outbound",
}
TWILIO_SID = re.compile(r"(SM|MM)[0-9a-zA-Z]{1,64}")
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


class UnreadableFile(Exception):
    """The file as a whole is not in the format that it was said to be."""


class Row(NamedTuple):
    """One row of an export: where it starts, its bytes, and what it says or why it is refused.

    `given` is a loaded schema; None with no complaint is a message that was never exchanged.
    """

    line: int
    raw: bytes
    given: dict | None
    complaint: str | None = None


class TwilioMessageSchema(ImportMessageSchema):
    """As ImportMessageSchema, but Twilio's exports keep no media: an MMS may have nothing left."""

    @validates_schema
    def require_content(self, data: dict, **_) -> None:
        """An SMS has a text."""
        if data.get("body") is None and data.get("channel") != "mms":
            raise ValidationError(Text.complaint, "body")


class Export(NamedTuple):
    """A file's header as it is, empty where the format has none, and its rows, read on demand."""

    header: bytes
    rows: Iterator[Row]


def read_messages(file: BinaryIO) -> Export:
    """Read the messages of an NDJSON file of POST /v1/messages bodies."""
    schema = ImportMessageSchema()

    def load(row: dict) -> dict:
        given = schema.check(row)
        if "id" not in given:
            content = orjson.dumps(given, option=orjson.OPT_SORT_KEYS).decode()
            given["id"] = uuid.uuid5(CONTENT_NAMESPACE, content)
        return given

    return Export(b"", _read_ndjson(file, load))


def read_consent(file: BinaryIO) -> Export:
    """Read the events of an NDJSON file of POST /v1/consent bodies; captured_at defaults to now."""
    schema = RecordConsentSchema()
    now = datetime.now(UTC)
    return Export(b"", _read_ndjson(file, lambda row: {"captured_at": now, **schema.check(row)}))


def read_twilio_json(file: BinaryIO) -> Export:
    """Read the messages of a Twilio bulk export day file, gzipped or not."""
    schema = TwilioMessageSchema()
    return Export(b"", _read_ndjson(_gunzip(file), lambda row: _load_twilio(schema, row)))


def read_twilio_csv(file: BinaryIO) -> Export:
    """Read a Twilio console message log. Raises UnreadableFile without its header."""
    lines = _RememberingLines(file)
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, [])
    except csv.Error:
        header = []
    missing = [name for name in CSV_COLUMNS if name not in header]
    if missing:
        raise UnreadableFile(f"the header lacks {', '.join(missing)}")
    return Export(lines.take(), _read_csv(lines, reader, header))


MESSAGE_READERS = {
    "ndjson": read_messages,
    "twilio-csv": read_twilio_csv,
    "twilio-json": read_twilio_json,
}


def import_rows(
    export: Export,
    store: Callable[[list[dict]], list[inbox.Verdict | str]],
    refused: BinaryIO,
    on_refused: Callable[[Row, str], None],
) -> Iterator[Counter]:
    """Store an export's rows in batches; yield the running tally after each.

    `store` takes what the rows say and returns, for each, a verdict or why it is refused. Refused
    rows go to `refused` as they came, under the header, and to `on_refused` with the reason.
    """
    refused.write(export.header)
    tally = Counter()
    while batch := list(islice(export.rows, BATCH)):
        outcomes = iter(store([row.given for row in batch if row.given]))
        for row in batch:
            if row.given is None and row.complaint is None:
                tally["skipped"] += 1
                continue
            outcome = row.complaint or next(outcomes)
            if outcome in (inbox.Verdict.CREATED, inbox.Verdict.KNOWN):
                tally[outcome.value] += 1
                continue
            tally["refused"] += 1
            refused.write(row.raw if row.raw.endswith(b"\n") else row.raw + b"\n")
            on_refused(row, getattr(outcome, "value", outcome))
        yield tally


def store_messages(
    organization_id: uuid.UUID, numbers: dict[str, uuid.UUID], given: list[dict]
) -> list[inbox.Verdict | str]:
    """Store a batch of messages; return what became of each, or why it is refused."""
    outcomes = [_complete(fields, numbers) for fields in given]
    messages = [message for message in outcomes if isinstance(message, inbox.Message)]
    verdicts = iter(inbox.create_messages(organization_id, messages) if messages else ())
    return [item if isinstance(item, str) else next(verdicts) for item in outcomes]


def _complete(given: dict, numbers: dict[str, uuid.UUID]) -> inbox.Message | str:
    try:
        return inbox.complete_message(given, numbers)
    except ValidationError as error:
        return _complain(error)


def store_consent(
    organization_id: uuid.UUID, phone_number_ids: set[uuid.UUID], given: list[dict]
) -> list[inbox.Verdict | str]:
    """Store a batch of consent events; return what became of each, or why it is refused."""
    events = [event for event in given if event["phone_number_id"] in phone_number_ids]
    _, news = inbox.record_consent(organization_id, events) if events else ([], [])
    news = iter(news)
    return [
        (inbox.Verdict.CREATED if next(news) else inbox.Verdict.KNOWN)
        if event["phone_number_id"] in phone_number_ids
        else f"phone_number_id {inbox.NOT_YOURS}"
        for event in given
    ]


class _RememberingLines:
    """The lines of a CSV file as text, and the bytes of those that the current row took."""

    def __init__(self, file: BinaryIO):
        self.count = 0
        self._file = file
        self._taken = []

    def __iter__(self):
        return self

    def __next__(self) -> str:
        line = next(self._file)
        self.count += 1
        self._taken.append(line)
        return line.decode("utf-8-sig" if self.count == 1 else "utf-8", "surrogateescape")

    def take(self) -> bytes:
        """Return what was taken since the last time."""
        raw = b"".join(self._taken)
        self._taken.clear()
        return raw


def _read_csv(lines: _RememberingLines, reader, header: list[str]) -> Iterator[Row]:
    schema = TwilioMessageSchema()
    while True:
        start = lines.count + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield Row(start, lines.take(), None, str(error))
            continue
        raw = lines.take()
        if cells is None:
            return
        if cells:
            yield _csv_row(schema, start, raw, header, cells)


def _csv_row(schema: RequestSchema, line: int, raw: bytes, header: list, cells: list) -> Row:
    try:
        raw.decode()
        if len(cells) != len(header):
            raise ValueError(f"has {len(cells)} columns where the header has {len(header)}")
        row = dict(zip(header, cells, strict=True))
        message = {CSV_COLUMNS[name]: row[name] for name in CSV_COLUMNS}
        return Row(line, raw, _load_twilio(schema, message))
    except (ValidationError, ValueError) as error:
        return Row(line, raw, None, _complain(error))


def _gunzip(file: BinaryIO) -> BinaryIO:
    buffered = file if hasattr(file, "peek") else io.BufferedReader(file)
    return gzip.GzipFile(fileobj=buffered) if buffered.peek(2)[:2] == b"\x1f\x8b" else buffered


def _load_twilio(schema: RequestSchema, message: dict) -> dict | None:
    """Return a Twilio message resource as a loaded schema, or None if it was never exchanged."""
    if message.get("status") in NOT_EXCHANGED:
        return None
    sid = TWILIO_SID.fullmatch(str(message.get("sid")))
    if not sid:
        raise ValidationError({"sid": "must be a Twilio message SID"})
    if message.get("direction") not in DIRECTIONS:
        raise ValidationError({"direction": f"must be one of {', '.join(DIRECTIONS)}"})
    row = {
        "id": str(uuid.uuid5(TWILIO_NAMESPACE, sid[0])),
        "direction": DIRECTIONS[message["direction"]],
        "from": message.get("from"),
        "to": message.get("to"),
        "body": message.get("body") or None,
        "channel": "mms" if sid[1] == "MM" else "sms",
        "created_at": _parse_date(message.get("date_sent") or message.get("date_created")),
    }
    segments = str(message.get("num_segments") or "0")
    if segments != "0":
        row["segment_count"] = (
            int(segments) if segments.isascii() and segments.isdigit() else segments
        )
    return schema.check(row)


def _parse_date(text) -> str:
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
        raise ValidationError({"date": "must be a date and time with a UTC offset"}) from None
    return instant.replace(tzinfo=instant.tzinfo or UTC).isoformat()


def _read_ndjson(file: Iterable[bytes], load) -> Iterator[Row]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
            if not isinstance(row, dict):
                raise ValueError("is not a JSON object")
            yield Row(number, line, load(row))
        except (ValidationError, ValueError) as error:
            yield Row(number, line, None, _complain(error))


def _complain(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{field} {sentence}" for field, sentence in error.messages.items())
    if isinstance(error, orjson.JSONDecodeError):
        return "is not JSON"
    return str(error)
