"""Readers of NDJSON files, and what all readers of exports have in common.

A row that cannot be read is refused, never dropped: it keeps the bytes it came in, so that it can
be copied out, mended and imported again.
"""

import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import BinaryIO, NamedTuple

import orjson
from marshmallow import ValidationError

from schemas.base import RequestSchema
from schemas.create_message import ImportMessageSchema
from schemas.record_consent import RecordConsentSchema

# Namespace (RFC 9562 section 5.5) of the ids that rows without one get; never to be changed.
CONTENT_NAMESPACE = uuid.UUID("0c8a3e5e-6d0a-4b0e-9d5f-3f1f8f6f2c01")

BROKEN_FILE = (OSError, EOFError, zlib.error)


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


class Export(NamedTuple):
    """A file's header as it is, empty where the format has none, and its rows, read on demand."""

    header: bytes
    rows: Iterator[Row]


def read_messages(file: BinaryIO) -> Export:
    """Read the messages of an NDJSON file of POST /v1/messages bodies."""
    check = quick_check(ImportMessageSchema())

    def load(row: dict) -> dict:
        given = check(row)
        if "id" not in given:
            content = orjson.dumps(given, option=orjson.OPT_SORT_KEYS).decode()
            given["id"] = uuid.uuid5(CONTENT_NAMESPACE, content)
        return given

    return Export(b"", read_ndjson(file, load))


def read_consent(file: BinaryIO) -> Export:
    """Read the events of an NDJSON file of POST /v1/consent bodies; captured_at defaults to now."""
    check = quick_check(RecordConsentSchema())
    now = datetime.now(UTC)
    return Export(b"", read_ndjson(file, lambda row: {"captured_at": now, **check(row)}))


def read_ndjson(file: Iterable[bytes], load: Callable[[dict], dict | None]) -> Iterator[Row]:
    """Yield a Row for each line that is not blank, with what `load` makes of its object."""
    line = 0
    try:
        for line, raw in enumerate(file, 1):
            text = raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw
            if not text.isspace():
                yield _ndjson_row(line, raw, text, load)
    except BROKEN_FILE as error:
        yield Row(line + 1, b"", None, f"cannot be read, nor what follows: {error}")


def _ndjson_row(line: int, raw: bytes, text: bytes, load: Callable) -> Row:
    try:
        row = orjson.loads(text)
        if not isinstance(row, dict):
            raise ValueError("is not a JSON object")
        return Row(line, raw, load(row))
    except (ValidationError, ValueError) as error:
        return Row(line, raw, None, complain(error))


def complain(error: Exception) -> str:
    """Return why a row is refused, in a sentence a field."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{field} {sentence}" for field, sentence in error.messages.items())
    if isinstance(error, orjson.JSONDecodeError):
        return "is not JSON"
    return str(error)


def quick_check(schema: RequestSchema) -> Callable[[dict], dict]:
    """Return a function that does what schema.check does, for a valid row in a fifth of its time.

    It calls the same fields; whatever they refuse is left to schema.check, which knows the reason.
    """
    fields = {
        field.data_key or name: (name, field.read, field.allow_none)
        for name, field in schema.fields.items()
    }
    required = {name for name, field in schema.fields.items() if field.required}
    hook = getattr(schema, "require_content", lambda given: None)

    def check(row: dict) -> dict:
        given = {}
        try:
            for key, value in row.items():
                name, read, allow_none = fields[key]
                given[name] = None if value is None and allow_none else read(value)
            hook(given)
            if required <= given.keys():
                return given
        except (
            ValidationError,
            ValueError,
            TypeError,
            LookupError,
            ArithmeticError,
            AttributeError,
        ):
            pass
        return schema.check(row)

    return check
