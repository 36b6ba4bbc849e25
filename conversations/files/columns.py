"""Readers of CSV whose columns the command names: messages and consent from any program."""

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from marshmallow import ValidationError

from conversations.files.csv_rows import CsvFile
from conversations.files.instants import parse_zoned
from conversations.files.rows import (
    Export,
    Names,
    Options,
    UnreadableFile,
    WrongOptions,
    check_exchange,
    only_number,
    read_number,
    refuse_lost_plus_signs,
)
from conversations.files.twilio import NOT_EXCHANGED, NOT_YET_EXCHANGED
from conversations.inbox.api_keys import printable
from conversations.inbox.message_ids import carrier_message_id, secret_message_id
from conversations.inbox.organizations import NOT_YOURS
from schemas.create_message import ImportMessageSchema
from schemas.fields import EPOCH, Uuid
from schemas.record_consent import RecordConsentSchema

MESSAGE_COLUMNS = (
    *("id", "from", "to", "contact", "number", "direction", "body", "created_at", "status"),
    *("channel", "media_urls", "segment_count"),
)
CONSENT_COLUMNS = ("contact", "number", "opted_in", "captured_at")
SKIPPED = {*NOT_EXCHANGED, *NOT_YET_EXCHANGED, "delivery_failed", "sending_failed"} | {
    *("expired", "pending", "draft")
}
DIRECTIONS = dict.fromkeys(("inbound", "incoming", "received", "in", "1"), "inbound")
DIRECTIONS |= dict.fromkeys(("outbound", "outgoing", "sent", "out", "2"), "outbound")
OPTED_IN = {"true", "yes", "y", "1", "subscribed", "opted in", "opt-in", "opted_in", "start"}
OPTED_OUT = {"false", "no", "n", "0", "unsubscribed", "non-subscribed", "stop"} | {
    *("opted out", "opt-out", "opted_out")
}
TWILIO_SID = re.compile("(SM|MM)[0-9a-zA-Z]{1,64}")
SINCE_1970 = re.compile("[0-9]{1,14}")
FIRST_MILLISECONDS = 10**11  # As seconds this would be in the year 5138.
LOCAL_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ Tt]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?)"
)
NO_INSTANT = (
    "must be RFC 3339, YYYY-MM-DD HH:MM[:SS], seconds or milliseconds since 1970, or as "
    "--date-format says"
)
NO_ZONE = "has no zone: name it with --timezone, such as --timezone Europe/Berlin"


def read_messages(file: BinaryIO, options: Options) -> Export:
    """Read messages. Raises UnreadableFile if a column is missing, and WrongOptions."""
    table = CsvFile(file, ",;\t")
    columns = _find_columns(table.header, options, MESSAGE_COLUMNS)
    has_ends = {"from", "to"} <= columns.keys()
    _require(columns, table.header, "body", "created_at")
    if not has_ends:
        _require(columns, table.header, "contact", "direction")
    own = None if has_ends else _default_number(columns, options)
    schema = ImportMessageSchema(options.region)

    def check(cells: dict[str, str]) -> dict[str, Any] | None:
        if cells.get("status", "").strip().lower() in SKIPPED:
            return None
        row = _message_row(cells, options)
        if has_ends:
            ends = {name: _read_number(name, cells, options) for name in ("from", "to")}
            direction = _read_direction(cells, ends, options)
            given = schema.check(row | ends | {"direction": direction})
        else:
            row["direction"] = _read_direction(cells, {}, options)
            contact = _read_number("contact", cells, options)
            number = _read_number("number", cells, options) or own
            given = check_exchange(schema, options, number, contact, row)
        return given | _read_id(cells.get("id", "").strip(), given, options)

    names = {"number": "--number", **columns}
    return Export(table.header_bytes, table.rows(columns, check, names), names)


def read_consent(file: BinaryIO, options: Options) -> Export:
    """Read consent events. Raises UnreadableFile if a column is missing, and WrongOptions."""
    table = CsvFile(file, ",;\t")
    columns = _find_columns(table.header, options, CONSENT_COLUMNS)
    _require(columns, table.header, "contact", *(("opted_in",) if options.opted_in is None else ()))
    own = _default_number(columns, options)
    schema = RecordConsentSchema(options.region)

    def check(cells: dict[str, str]) -> dict[str, Any]:
        number = _read_number("number", cells, options) or own
        if number is None or number not in options.own_numbers:
            raise ValidationError({"number": NOT_YOURS})
        row = {
            "phone_number_id": str(options.own_numbers[number]),
            "contact_number": _read_number("contact", cells, options),
            "opted_in": _read_opted_in(cells.get("opted_in", ""), options),
        }
        captured_at = cells.get("captured_at", "").strip()
        if captured_at:
            row["captured_at"] = _read_instant("captured_at", captured_at, options)
        elif options.at:
            row["captured_at"] = options.at.isoformat()
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
    row: dict[str, Any] = {"body": cells["body"]}
    row["created_at"] = _read_instant("created_at", cells["created_at"].strip(), options)
    if media := cells.get("media_urls", "").strip():
        row["media_urls"] = re.split(r"[\s,|]+(?=https?://)", media, flags=re.IGNORECASE)
    if channel := cells.get("channel", "").strip().lower():
        row["channel"] = channel
    elif cells.get("id", "").strip().startswith("MM") and TWILIO_SID.fullmatch(cells["id"].strip()):
        row["channel"] = "mms"
    if not row["body"] and (media or row.get("channel") == "mms"):
        del row["body"]
    segments = cells.get("segment_count", "").strip()
    if segments not in ("", "0"):
        row["segment_count"] = int(segments) if re.fullmatch("[0-9]{1,3}", segments) else segments
    return row


def _read_id(text: str, given: dict[str, Any], options: Options) -> dict[str, Any]:
    """Return the fields of an id; of none the message gets one of its content."""
    if not text:
        return {}
    if Uuid.accepts(text):
        return {"id": Uuid.convert(text)}
    if TWILIO_SID.fullmatch(text):
        return {"id": carrier_message_id(text), "has_carrier_id": True}
    ends = given["from_number"], given["to_number"]
    contact, number = ends if given["direction"] == "inbound" else reversed(ends)
    return {"id": secret_message_id(options.id_namespace, "csv", number, contact, text)}


def _read_number(name: str, cells: dict[str, str], options: Options) -> str:
    try:
        number = read_number(cells.get(name, ""), options.region)
    except ValueError as error:
        raise ValidationError({name: str(error)}) from None
    refuse_lost_plus_signs(options, number)
    return number


def _read_direction(cells: dict[str, str], ends: dict[str, str], options: Options) -> str:
    if "direction" in cells:
        word = cells["direction"].strip().lower()
        direction = "outbound" if word.startswith("outbound-") else DIRECTIONS.get(word)
        if direction is None:
            raise ValidationError({"direction": f"must be one of {', '.join(DIRECTIONS)}"})
        return direction
    owned = [name for name, number in ends.items() if number in options.own_numbers]
    if len(owned) != 1:
        raise ValidationError({"from": "or to must be one of your phone numbers, and not both"})
    return "outbound" if owned == ["from"] else "inbound"


def _read_opted_in(text: str, options: Options) -> bool:
    word = text.strip().lower()
    if not word and options.opted_in is not None:
        return options.opted_in
    if word not in OPTED_IN | OPTED_OUT:
        raise ValidationError({"opted_in": "must be a word such as subscribed or unsubscribed"})
    return word in OPTED_IN


def _read_instant(name: str, text: str, options: Options) -> str:
    """Return the instant of a cell as RFC 3339. Raises ValidationError."""
    try:
        return _parse_instant(text, options).isoformat()
    except ValidationError as error:
        raise ValidationError({name: error.messages[0]}) from None
    except (ValueError, TypeError, LookupError, OverflowError):
        raise ValidationError({name: NO_INSTANT}) from None


def _parse_instant(text: str, options: Options) -> datetime:
    if options.date_format:
        try:
            instant = datetime.strptime(text, options.date_format)
            return instant if instant.tzinfo else _in_zone(instant, options.timezone)
        except ValueError:
            pass  # The other spellings count as well.
    if SINCE_1970.fullmatch(text):
        number = int(text)
        milliseconds = number if number >= FIRST_MILLISECONDS else number * 1000
        return EPOCH + timedelta(milliseconds=milliseconds)
    if local := LOCAL_TIME.fullmatch(text):
        return _in_zone(datetime.fromisoformat(f"{local[1]} {local[2]}"), options.timezone)
    return parse_zoned(text)


def _in_zone(local: datetime, zone: ZoneInfo | None) -> datetime:
    """Return a local time as an instant. An hour that summer time repeats is the first one.

    Raises ValidationError without a zone, and for a time that summer time left out.
    """
    if zone is None:
        raise ValidationError(NO_ZONE)
    instant = local.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != local:
        raise ValidationError(f"does not exist in {zone.key}, because of summer time")
    return instant
