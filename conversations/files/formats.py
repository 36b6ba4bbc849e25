"""The formats of imports, and files of other formats, which get one sentence as a whole."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from gzip import GzipFile
from importlib.resources import files
from io import BufferedReader
from itertools import chain, islice
from typing import cast

from conversations.files import columns, httpsms, ndjson, sms_backup, twilio
from conversations.files.rows import BROKEN_FILE, Export, FileRow, Options, Reader, UnreadableFile
from conversations.files.xml_rows import PROLOG
from schemas.strict_json import BYTE_ORDER_MARK


@dataclass(frozen=True)
class Format:
    """One format: its reader, the options that it takes, and the kinds of files that it may be.

    The first kind is the format itself. `unpacks`: the file may be compressed with gzip.
    """

    read: Reader
    options: tuple[str, ...]
    kinds: tuple[str, ...]
    unpacks: bool = False


LOCAL = ("region", "numbers", "columns", "timezone", "date_format")
TABLES = ("CSV", "log", "other log", "list")
MESSAGE_FORMATS = {
    "ndjson": Format(ndjson.read_messages, ("region",), ("messages", "JSON")),
    "csv": Format(columns.read_messages, LOCAL, TABLES),
    "twilio-csv": Format(twilio.read_csv, ("region",), ("log", "CSV")),
    "twilio-json": Format(twilio.read_json, ("region",), ("twilio", "messages", "JSON"), True),
    "sms-backup": Format(sms_backup.read_messages, ("region", "numbers"), ("backup", "XML")),
    "httpsms": Format(httpsms.read_messages, ("region",), ("httpsms", "JSON")),
}
CONSENT_FORMATS = {
    "ndjson": Format(ndjson.read_consent, ("region",), ("consent", "JSON")),
    "csv": Format(columns.read_consent, (*LOCAL, "opted_in", "at"), TABLES),
}


@dataclass(frozen=True)
class Kind:
    """What a file is, told by its first bytes: a table of kinds.toml, which describes the keys."""

    begins: str
    sentence: str
    is_json: bool = False
    holds_messages: bool = False


TABLES_OF_KINDS = tomllib.loads(files(__package__).joinpath("kinds.toml").read_text("utf-8"))
KINDS = {name: Kind(**table) for name, table in TABLES_OF_KINDS.items()}


def open_export(
    file: BufferedReader, name: str, formats: Mapping[str, Format], options: Options
) -> Export:
    """Return the rows of a file, which has one of the formats of a command.

    Raises UnreadableFile, which says what to do, and WrongOptions.
    """
    format = formats[name]
    if format.unpacks and _head_of(file).startswith(b"\x1f\x8b"):
        file = cast(BufferedReader, GzipFile(fileobj=file))
    head = PROLOG.sub(b"", _head_of(file).removeprefix(BYTE_ORDER_MARK), count=1)
    for kind, told in KINDS.items():
        if re.match(told.begins.encode(), head, re.DOTALL):
            if kind not in format.kinds:
                raise UnreadableFile(_advise(kind, format, formats))
            break
    export = format.read(file, options)
    rows = _until_broken(export.rows)
    # The first row can tell that nothing of the file is right: before anything is written.
    return export._replace(rows=chain(list(islice(rows, 1)), rows))


def _head_of(file: BufferedReader) -> bytes:
    """Return the first bytes of a file, which stay to be read; none of one that is broken."""
    with suppress(*BROKEN_FILE):
        return file.peek(1)
    return b""


def _until_broken(rows: Iterator[FileRow]) -> Iterator[FileRow]:
    """Yield rows, and a complaint in the place of those that cannot be read."""
    line = 0
    try:
        for row in rows:
            line = row.line
            yield row
    except BROKEN_FILE as error:
        yield FileRow(line + 1, b"", None, f"cannot be read, nor what follows: {error}")


def _advise(kind: str, format: Format, formats: Mapping[str, Format]) -> str:
    """Return what a file is and what to do, with no option that the command does not have."""
    told, is_consent = KINDS[kind], formats is CONSENT_FORMATS
    if is_consent and told.holds_messages:
        return f"{told.sentence.partition(':')[0]}, which holds no consent: use import-messages"
    if is_consent and kind == "list":
        return KINDS["CSV"].sentence
    if told.is_json and not KINDS[format.kinds[0]].is_json:
        others = "twilio-json for Twilio's bulk export, httpsms for httpSMS's messages, else "
        wanted = "XML" if "backup" in format.kinds else "CSV"
        return f"is JSON, not {wanted}: --format is {'' if is_consent else others}ndjson"
    return told.sentence
