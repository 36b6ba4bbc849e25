"""Tells a file of another format by its first bytes, so that it gets one sentence as a whole."""

import re
import zlib
from contextlib import suppress
from typing import BinaryIO

BROKEN_FILE = (OSError, EOFError, zlib.error)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
GZIP = b"\x1f\x8b"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
API_PAGE = re.compile(rb'(?<!\\)"messages"\s*:\s*\[')
SEVERAL_LINES = re.compile(rb'\{\s*\n\s*"')
BULK_EXPORT = re.compile(rb'[{,]\s*"account_sid"\s*:')
LOG_COLUMNS = {b"From", b"To", b"Body", b"Sid"}


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
    head = head_of(file)
    start = head.removeprefix(BYTE_ORDER_MARK).lstrip()
    if head.startswith(GZIP):
        raise UnreadableFile("is compressed with gzip: unpack it first")
    if head.startswith(UTF_16) or b"\0" in start[:2]:
        raise UnreadableFile("is UTF-16: save it as UTF-8")
    complaint = _csv_complaint(start) if format == "twilio-csv" else _json_complaint(start, format)
    if complaint:
        raise UnreadableFile(complaint)


def _json_complaint(start: bytes, format: str) -> str | None:
    if start.startswith(b"["):
        return "is one JSON array: write an object a line, as with jq -c '.[]'"
    if start.startswith(b"{") and API_PAGE.search(start):
        return "is a page of Twilio's API: write an object a line, as with jq -c '.messages[]'"
    if SEVERAL_LINES.match(start):
        return "is JSON over several lines: write an object a line, as with jq -c ."
    if _columns(start) >= LOG_COLUMNS:
        return "is CSV: Twilio's message log needs --format twilio-csv"
    if format == "ndjson" and start.startswith(b"{") and BULK_EXPORT.search(_first_line(start)):
        return "is a bulk export of Twilio: it needs --format twilio-json"
    return None


def _csv_complaint(start: bytes) -> str | None:
    if start.startswith((b"{", b"[")):
        return "is JSON, not CSV: --format is twilio-json for Twilio's bulk export, else ndjson"
    first_line = _first_line(start)
    if first_line.lower().startswith(b"sep="):
        return "begins with a sep= line: save it with commas, without that line"
    if _columns(start) >= LOG_COLUMNS and first_line.count(b",") < len(LOG_COLUMNS) - 1:
        return "is not separated by commas: save it with commas"
    return None


def _first_line(start: bytes) -> bytes:
    return start.partition(b"\n")[0]


def _columns(start: bytes) -> set[bytes]:
    return set(re.split(rb'[",;\s]+', _first_line(start)))
