"""Readers of NDJSON: a JSON object a line, as the API takes it."""

from datetime import UTC, datetime
from typing import BinaryIO

from conversations.files.rows import Export, Options, read_json_lines
from schemas.create_message import ImportMessageSchema
from schemas.record_consent import RecordConsentSchema


def read_messages(file: BinaryIO, options: Options) -> Export:
    """Read the messages of an NDJSON file of POST /v1/messages bodies."""
    return Export(b"", read_json_lines(file, ImportMessageSchema(options.region).check))


def read_consent(file: BinaryIO, options: Options) -> Export:
    """Read the events of an NDJSON file of POST /v1/consent bodies; captured_at defaults to now."""
    schema, now = RecordConsentSchema(options.region), datetime.now(UTC)
    return Export(b"", read_json_lines(file, lambda row: {"captured_at": now, **schema.check(row)}))
