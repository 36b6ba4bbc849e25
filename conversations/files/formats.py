"""The formats of imports, and files of other formats, which get one sentence as a whole."""

import gzip
import io
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO, cast

from conversations.files import columns, httpsms, ndjson, sms_backup, twilio
from conversations.files.rows import BROKEN_FILE, Export, Options, Reader, UnreadableFile
from schemas.strict_json import BYTE_ORDER_MARK


@dataclass(frozen=True)
class Format:
    """One format: its reader, the options that it takes, and the kinds of files that it may be.

    `is_json` tells JSON from CSV and XML. `unpacks`: the file may be compressed with gzip.
    """

    read: Reader
    options: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    is_json: bool = False
    unpacks: bool = False


LOCAL = ("region", "numbers", "columns", "timezone", "date_format")
TABLES = ("CSV", "log", "other log", "list")
MESSAGE_FORMATS = {
    "ndjson": Format(ndjson.read_messages, ("region",), ("messages", "JSON"), is_json=True),
    "csv": Format(columns.read_messages, LOCAL, TABLES),
    "twilio-csv": Format(twilio.read_csv, ("region",), ("log", "CSV")),
    "twilio-json": Format(
        twilio.read_json, ("region",), ("twilio", "messages", "JSON"), is_json=True, unpacks=True
    ),
    "sms-backup": Format(sms_backup.read_messages, ("region", "numbers"), ("backup", "XML")),
    "httpsms": Format(httpsms.read_messages, ("region",), ("httpsms", "JSON"), is_json=True),
}
CONSENT_FORMATS = {
    "ndjson": Format(ndjson.read_consent, ("region",), ("consent", "JSON"), is_json=True),
    "csv": Format(columns.read_consent, (*LOCAL, "opted_in", "at"), TABLES),
}

# What stands before the first element of XML.
PROLOG = rb"(?:\s|<\?.*?\?>|<!--.*?-->)*"
# The names that the header of Twilio's message log has.
LOG = b"".join(rb"(?=[^\n]*\b%b\b)" % name for name in (b"From", b"To", b"Body", b"Sid"))
# How files begin, by kind, and what such a file is. The first kind that fits counts.
LINES = "write an object a line, as with jq -c"
KINDS: dict[str, tuple[bytes, str]] = {
    "gzip": (rb"\x1f\x8b", "is compressed with gzip: unpack it first"),
    "bzip2": (rb"BZh", "is compressed with bzip2: unpack it first"),
    "ZIP": (rb"PK[\x03\x05]", "is a ZIP archive: unpack a backup, save an .xlsx as CSV in UTF-8"),
    "UTF-16": (rb"\xff\xfe|\xfe\xff|.?\0", "is UTF-16: save it as UTF-8"),
    "Windows-1252": (
        rb"(?!.*[\xc2-\xf4][\x80-\xbf]).*[\x80-\xfe].{3}",
        "is not UTF-8: save it as UTF-8, or convert it with iconv -f WINDOWS-1252 -t UTF-8",
    ),
    "HTML": (PROLOG + rb"<(?i:!doctype html|html|head|body)\b", "is a web page (HTML), no export"),
    "backup": (PROLOG + rb"<smses\b", "is a phone's backup: it needs --format sms-backup"),
    "calls": (PROLOG + rb"<calls\b", "is a phone's backup of calls: import that of messages"),
    "XML": (rb"<[?!A-Za-z]", "is XML, and no phone's backup that is known here"),
    "array": (rb"\[", f"is one JSON array: {LINES} '.[]'"),
    "page": (
        rb'\{.*(?<!\\)"messages"\s*:\s*\[',
        f"is a page of Twilio's API: {LINES} '.messages[]'",
    ),
    "data": (rb'\{\s*"data"\s*:\s*\[', f"is a page of httpSMS's API: {LINES} '.data[]'"),
    "spread": (rb'\{\s*\n\s*"', f"is JSON over several lines: {LINES} ."),
    "CR": (rb"[^\n]*\r[^\n]+\Z", "ends its lines with CR alone: convert it with tr '\\r' '\\n'"),
    "twilio": (
        rb'\{([^\n]*,)?\s*"account_?[Ss]id"\s*:',
        "is Twilio's: it needs --format twilio-json",
    ),
    "httpsms": (
        rb'\{(?=[^\n]*"owner"\s*:)(?=[^\n]*"contact"\s*:)',
        "is httpSMS's: it needs --format httpsms",
    ),
    "consent": (rb'\{([^\n]*,)?\s*"opted_in"\s*:', "is consent, not messages: use import-consent"),
    "messages": (rb'\{([^\n]*,)?\s*"direction"\s*:', "is a list of messages: use import-messages"),
    "JSON": (rb"\{", "is JSON: it needs --format ndjson"),
    "sep": (rb"(?i:sep=)", "begins with a sep= line: save it without that line"),
    "other log": (LOG + rb"(?!([^\n]*,){3})", "is not separated by commas: save it with commas"),
    "log": (LOG, "is CSV: Twilio's message log needs --format twilio-csv"),
    "list": (rb"[^\n]*\b(?:opted_in|captured_at)\b", "is CSV of consent: use import-consent"),
    "CSV": (rb"[^\n{}]*[,;\t][^\n{}]*(?:\n|\Z)", "is CSV: it needs --format csv"),
}
ARE_JSON = {"array", "page", "data", "spread", "twilio", "httpsms", "consent", "messages", "JSON"}
HOLD_MESSAGES = {"backup", "page", "data", "twilio", "httpsms", "messages", "other log", "log"}


def open_export(
    file: BinaryIO, name: str, formats: Mapping[str, Format], options: Options
) -> Export:
    """Return the rows of a file, which has one of the formats of a command.

    Raises UnreadableFile, which says what to do, and WrongOptions.
    """
    format = formats[name]
    if format.unpacks:
        file = _unpack(file)
    start = head_of(file).removeprefix(BYTE_ORDER_MARK).lstrip()
    for kind, (beginning, sentence) in KINDS.items():
        if re.match(beginning, start, re.DOTALL):
            if kind not in format.kinds:
                raise UnreadableFile(_advise(kind, sentence, format, formats))
            break
    export = format.read(file, options)
    # The first row can tell that nothing of the file is right: before anything is written.
    first = [row for row in [next(export.rows, None)] if row]
    return export._replace(rows=chain(first, export.rows))


def _advise(kind: str, sentence: str, format: Format, formats: Mapping[str, Format]) -> str:
    """Return what a file is and what to do, with no option that the command does not have."""
    if formats is CONSENT_FORMATS and kind in HOLD_MESSAGES:
        return f"{sentence.partition(':')[0]}, which holds no consent: use import-messages"
    if formats is CONSENT_FORMATS and kind == "list":
        return KINDS["CSV"][1]
    if kind in ARE_JSON and not format.is_json:
        others = "twilio-json for Twilio's bulk export, httpsms for httpSMS's messages, else "
        choice = "" if formats is CONSENT_FORMATS else others
        wanted = "XML" if "backup" in format.kinds else "CSV"
        return f"is JSON, not {wanted}: --format is {choice}ndjson"
    return sentence


def head_of(file: BinaryIO) -> bytes:
    """Return the first bytes of a file that can be looked at without reading it, else none."""
    peek = getattr(file, "peek", None)
    with suppress(*BROKEN_FILE):
        return cast(bytes, peek(1)) if peek else b""
    return b""


def _unpack(file: BinaryIO) -> BinaryIO:
    buffered: Any = file
    if not hasattr(file, "peek"):
        buffered = io.BufferedReader(cast(io.RawIOBase, file))
    is_packed = head_of(buffered).startswith(b"\x1f\x8b")
    return cast(BinaryIO, gzip.GzipFile(fileobj=buffered) if is_packed else buffered)
