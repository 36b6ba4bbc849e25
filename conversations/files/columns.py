"""Readers of CSV whose columns the command names: messages and consent from any program."""

import re
import tomllib
from collections.abc import Collection
from datetime import datetime
from importlib.resources import files
from typing import Any, BinaryIO

from marshmallow import ValidationError

from conversations.files.csv_rows import CsvFile
from conversations.files.instants import parse_any, read_instant
from conversations.files.rows import (
    Export,
    Names,
    Options,
    UnreadableFile,
    WrongOptions,
    check_exchange,
    ends_of,
    only_number,
    read_number,
    read_segments,
    refuse_lost_plus_signs,
)
from conversations.inbox.api_keys import printable
from conversations.inbox.message_ids import carrier_message_id, secret_message_id
from conversations.inbox.organizations import NOT_YOURS
from schemas.create_message import ImportMessageSchema
from schemas.fields import Uuid
from schemas.record_consent import RecordConsentSchema

# The file describes what it holds.
TABLES = tomllib.loads(files(__package__).joinpath("columns.toml").read_text("utf-8"))
MESSAGES, CONSENT = TABLES["messages"], TABLES["consent"]
TWILIO_SID = re.compile("(SM|MM)[0-9a-zA-Z]{1,64}")
MEDIA_SEPARATOR = re.compile(r"[\s,|]+(?=https?://)", re.IGNORECASE)
NO_INSTANT = (
    "must be RFC 3339, YYYY-MM-DD HH:MM[:SS], seconds or milliseconds since 1970, or as "
    "--date-format says"
)


def read_messages(file: BinaryIO, options: Options) -> Export:
    """Read messages. Raises UnreadableFile if a column is missing, and WrongOptions."""
    table = CsvFile(file, ",;\t")
    columns = _find_columns(table.header, options, MESSAGES["columns"])
    has_ends = {"from", "to"} <= columns.keys()
    names_of_ends = ("from", "to") if has_ends else ("contact", "number")
    needed = () if has_ends else ("contact", "direction")
    _require(columns, table.header, "body", "created_at", *needed)
    own = None if has_ends else _default_number(columns, options)
    schema = ImportMessageSchema(options.region)

    def check(cells: dict[str, str]) -> dict[str, Any] | None:
        if cells.get("status", "").strip().lower() in MESSAGES["skipped"]:
            return None
        row = _message_row(cells, options)
        ends = {name: _read_number(name, cells, options) for name in names_of_ends}
        row["direction"] = _read_direction(cells, ends, options)
        if has_ends:
            given = schema.check(row | ends)
        else:
            given = check_exchange(schema, options, ends["number"] or own, ends["contact"], row)
        return given | _read_id(cells.get("id", "").strip(), given, options)

    names = {"number": "--number", **columns}
    return Export(table.header_bytes, table.rows(columns, check, names), names)


def read_consent(file: BinaryIO, options: Options) -> Export:
    """Read consent events. Raises UnreadableFile if a column is missing, and WrongOptions."""
    table = CsvFile(file, ",;\t")
    columns = _find_columns(table.header, options, CONSENT["columns"])
    _require(columns, table.header, "contact", *(("opted_in",) if options.opted_in is None else ()))
    own = _default_number(columns, options)
    schema = RecordConsentSchema(options.region)

    def check(cells: dict[str, str]) -> dict[str, Any]:
        id = options.own_numbers.get(_read_number("number", cells, options) or own or "")
        if id is None:
            raise ValidationError({"number": NOT_YOURS})
        row = {
            "phone_number_id": str(id),
            "contact_number": _read_number("contact", cells, options),
            "opted_in": _read_opted_in(cells.get("opted_in", ""), options),
        }
        captured_at = cells.get("captured_at", "").strip()
        if captured_at:
            row["captured_at"] = _read_instant("captured_at", captured_at, options)
        elif options.at:
            row["captured_at"] = options.at
        elif row["opted_in"]:
            # "Now" would beat an opt-out that is on record.
            raise ValidationError({"captured_at": "is required of an opt-in: see --at"})
        return schema.check(row)

    names = {"number": "--number", **columns, "contact_number": columns["contact"]}
    return Export(table.header_bytes, table.rows(columns, check, names), names)


def _default_number(columns: Names, options: Options) -> str | None:
    """Return the own number of rows that name none, if there is one. Raises WrongOptions."""
    if options.numbers.keys() - {None}:
        raise WrongOptions("--number takes a SUB_ID with --format sms-backup alone")
    number = options.numbers.get(None)
    return number if number or "number" in columns else only_number(options)


def _find_columns(header: list[str], options: Options, known: Collection[str]) -> Names:
    """Return the columns of the file that are read, by our names."""
    columns = options.columns or {name: name for name in known if name in header}
    for name, column in columns.items():
        if name not in known:
            raise WrongOptions(f"--columns: {printable(name)} is none of {', '.join(known)}")
        if header.count(column) != 1:
            _refuse_header(f"must have one column {printable(column)}", header)
    return columns


def _require(columns: Names, header: list[str], *names: str) -> None:
    for name in names:
        if name not in columns:
            example = f"--columns '{name}=…'"
            _refuse_header(f"has no column {name}: say which one that is with {example}", header)


def _refuse_header(reason: str, header: list[str]) -> None:
    found = ", ".join(map(printable, header[:20]))
    raise UnreadableFile(f"the header {reason}; it has: {found}")


def _message_row(cells: dict[str, str], options: Options) -> dict[str, Any]:
    """Return what a row says beside its ends and its id; empty cells say nothing."""
    cell = {name: text.strip() for name, text in cells.items()}
    media, sid = cell.get("media_urls"), TWILIO_SID.fullmatch(cell.get("id", ""))
    channel = cell.get("channel", "").lower() or ("mms" if sid and sid[1] == "MM" else None)
    row = {
        "created_at": _read_instant("created_at", cell["created_at"], options),
        "media_urls": MEDIA_SEPARATOR.split(media) if media else None,
        "channel": channel,
        "segment_count": read_segments(cell.get("segment_count")),
    }
    has_text = cells["body"] or not (media or channel == "mms")
    return row | {"body": cells["body"]} if has_text else row


def _read_id(text: str, given: dict[str, Any], options: Options) -> dict[str, Any]:
    """Return the fields of an id; of none the message gets one of its content."""
    if not text:
        return {}
    if Uuid.accepts(text):
        return {"id": Uuid.convert(text)}
    if TWILIO_SID.fullmatch(text):
        return {"id": carrier_message_id(text), "has_carrier_id": True}
    return {"id": secret_message_id(options.id_namespace, "csv", *ends_of(given), text)}


def _read_number(name: str, cells: dict[str, str], options: Options) -> str:
    number = read_number(name, cells.get(name, ""), options.region)
    refuse_lost_plus_signs(options, number)
    return number


def _read_direction(cells: dict[str, str], ends: dict[str, str], options: Options) -> str:
    if "direction" in cells:
        word, directions = cells["direction"].strip().lower(), MESSAGES["directions"]
        if not word.startswith("outbound-") and word not in directions:
            raise ValidationError({"direction": f"must be one of {', '.join(directions)}"})
        return str(directions.get(word, "outbound"))
    owned = [name for name, number in ends.items() if number in options.own_numbers]
    if len(owned) != 1:
        raise ValidationError({"from": "or to must be one of your phone numbers, and not both"})
    return "outbound" if owned == ["from"] else "inbound"


def _read_opted_in(text: str, options: Options) -> bool:
    word = text.strip().lower()
    if not word and options.opted_in is not None:
        return options.opted_in
    if word not in CONSENT["words"]:
        raise ValidationError({"opted_in": "must be a word such as subscribed or unsubscribed"})
    return bool(CONSENT["words"][word])


def _read_instant(name: str, text: str, options: Options) -> datetime:
    return read_instant(name, text, lambda text: parse_any(text, options), NO_INSTANT)
