"""Readers of NDJSON files, and the shapes that all readers of exports share.

A row that cannot be read is rejected, never dropped: its bytes are kept, so that it can be copied
to a file, corrected and imported again.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, NamedTuple

import orjson
from marshmallow import ValidationError

from conversations.files.formats import BROKEN_FILE, BYTE_ORDER_MARK, refuse_other_formats
from schemas.create_message import ImportMessageSchema
from schemas.record_consent import RecordConsentSchema

# No message is as long. A compressed file of a few kilobytes can hold a line of gigabytes.
MAX_LINE_BYTES = 2**24
TOO_LONG = "is longer than 16 MiB; only its beginning is kept"


class Row(NamedTuple):
    """One row of a file: the line it starts on, its bytes, its checked fields or a complaint.

    Without both it is a message that was never exchanged, and is skipped.
    """

    line: int
    raw: bytes
    given: dict[str, Any] | None
    complaint: str | None = None


Names = Mapping[str, str]
NO_OTHER_NAMES: Names = {}


class Export(NamedTuple):
    """A file: the bytes of its header, empty where the format has none, and its rows.

    `names` are those of the file for the fields that a complaint names.
    """

    header: bytes
    rows: Iterator[Row]
    names: Names = NO_OTHER_NAMES


def read_messages(file: BinaryIO, region: str | None = None) -> Export:
    """Read the messages of an NDJSON file of POST /v1/messages bodies.

    Numbers without a plus sign are national ones of the region (ISO 3166), if one is given.
    Raises UnreadableFile.
    """
    refuse_other_formats(file, "ndjson")
    return Export(b"", read_ndjson(file, ImportMessageSchema(region).check))


def read_consent(file: BinaryIO) -> Export:
    """Read the events of an NDJSON file of POST /v1/consent bodies; captured_at defaults to now.

    Raises UnreadableFile.
    """
    refuse_other_formats(file, "ndjson")
    schema, now = RecordConsentSchema(), datetime.now(UTC)
    return Export(b"", read_ndjson(file, lambda row: {"captured_at": now, **schema.check(row)}))


Check = Callable[[dict[str, Any]], dict[str, Any] | None]


def read_lines(file: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Yield the first MAX_LINE_BYTES of each line of a file, and whether the line goes on."""
    while line := file.readline(MAX_LINE_BYTES):
        is_cut, piece = False, line
        while len(piece) == MAX_LINE_BYTES and not piece.endswith(b"\n"):
            piece = file.readline(MAX_LINE_BYTES)
            is_cut = is_cut or piece != b""
        yield line, is_cut


def read_ndjson(file: BinaryIO, check: Check, names: Names = NO_OTHER_NAMES) -> Iterator[Row]:
    """Yield a Row for each line that is not blank, with the fields that `check` returns."""
    line = 0
    try:
        for line, (raw, is_cut) in enumerate(read_lines(file), 1):
            text = raw.removeprefix(BYTE_ORDER_MARK) if line == 1 else raw
            if is_cut:
                yield Row(line, raw, None, TOO_LONG)
            elif text.strip():
                yield _ndjson_row(line, raw, text, check, names)
    except BROKEN_FILE as error:
        yield Row(line + 1, b"", None, f"cannot be read, nor what follows: {error}")


def _ndjson_row(line: int, raw: bytes, text: bytes, check: Check, names: Names) -> Row:
    try:
        row = orjson.loads(text)
        if not isinstance(row, dict):
            raise ValueError("is not a JSON object")
        return Row(line, raw, check(row))
    except (ValidationError, ValueError) as error:
        return Row(line, raw, None, explain(error, names))


def explain(error: Exception, names: Names = NO_OTHER_NAMES) -> str:
    """Return why a row is rejected: a sentence for each field, under its name in the file."""
    if isinstance(error, ValidationError):
        sentences = error.normalized_messages().items()
        return "; ".join(f"{names.get(field, field)} {sentence}" for field, sentence in sentences)
    if isinstance(error, orjson.JSONDecodeError):
        return "is not JSON"
    return str(error)
