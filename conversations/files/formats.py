"""Tells a file of another format by its first bytes, so that it gets one sentence as a whole."""

import re
import zlib
from contextlib import suppress
from typing import BinaryIO

BROKEN_FILE = (OSError, EOFError, zlib.error)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
GZIP = b"\x1f\x8b"
LOG_HEADER = rb"(?=.*\bFrom\b)(?=.*\bTo\b)(?=.*\bBody\b)(?=.*\bSid\b)"

# How files of other formats begin, and what to do with them.
UNREADABLE = {GZIP: "is compressed with gzip: unpack it first"}
UNREADABLE |= {rb"\xff\xfe|\xfe\xff|(?s:.?)\0": "is UTF-16: save it as UTF-8"}
NOT_JSON_LINES = UNREADABLE | {
    rb"\[": "is one JSON array: write an object a line, as with jq -c '.[]'",
    rb'\{(?s:.*)(?<!\\)"messages"\s*:\s*\[': "is a page of Twilio's API: write an object a line, "
    "as with jq -c '.messages[]'",
    rb'\{\s*\n\s*"': "is JSON over several lines: write an object a line, as with jq -c .",
    LOG_HEADER: "is CSV: Twilio's message log needs --format twilio-csv",
}
OTHER_FORMATS = {
    "twilio-json": NOT_JSON_LINES,
    "ndjson": NOT_JSON_LINES
    | {
        rb'\{(.*,)?\s*"account_sid"\s*:': "is a bulk export of Twilio: it needs "
        "--format twilio-json"
    },
    "twilio-csv": UNREADABLE
    | {
        rb"[{\[]": "is JSON, not CSV: --format is twilio-json for Twilio's bulk export, "
        "else ndjson",
        rb"(?i:sep=)": "begins with a sep= line: save it with commas, without that line",
        LOG_HEADER + rb"(?!.*,.*,.*,)": "is not separated by commas: save it with commas",
    },
}


class UnreadableFile(Exception):
    """The file as a whole does not have the format that was named."""


def head_of(file: BinaryIO) -> bytes:
    """Return the first bytes of a file that can be looked at without reading it, else none."""
    peek = getattr(file, "peek", None)
    with suppress(*BROKEN_FILE):
        return peek(1) if peek else b""
    return b""


def refuse_other_formats(file: BinaryIO, format: str) -> None:
    """Raise UnreadableFile, which says what to do, if a file is not `format` but one known here."""
    start = head_of(file).removeprefix(BYTE_ORDER_MARK).lstrip()
    for beginning, complaint in OTHER_FORMATS[format].items():
        if re.match(beginning, start):
            raise UnreadableFile(complaint)
