"""Readers of NDJSON: a JSON object a line, as the API takes it."""

from typing import BinaryIO

from conversations.files.rows import Export, Options, read_json_lines
from schemas.create_message import ImportMessageSchema
from schemas.record_consent import RecordConsentSchema


def read_messages(file: BinaryIO, options: Options) -> Export:
    """Read the messages of an NDJSON file of POST /v1/messages bodies."""
    return Export(b"", read_json_lines(file, ImportMessageSchema(options.region).check))


def read_consent(file: BinaryIO, options: Options) -> Export:
    """Read the events of an NDJSON file of POST /v1/consent bodies."""
    return Export(b"", read_json_lines(file, RecordConsentSchema(options.region).check))
