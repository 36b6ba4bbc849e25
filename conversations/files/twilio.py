"""Readers of Twilio's two exports: the console's message log (CSV), the bulk export (JSON).

SignalWire's rows are the same, with UUIDs in the place of Twilio's SIDs.
"""

import re
from typing import Any, BinaryIO

from marshmallow import ValidationError

from conversations.files.csv_rows import CsvFile
from conversations.files.instants import parse_zoned, read_instant
from conversations.files.rows import (
    Export,
    Options,
    UnreadableFile,
    read_json_lines,
    read_segments,
    refuse_lost_plus_signs,
)
from conversations.inbox.message_ids import carrier_message_id
from schemas.create_message import ImportMessageSchema

# The messages of these statuses were not exchanged, or are not yet: a later export has them then.
NOT_EXCHANGED = ("failed", "undelivered", "canceled")
NOT_YET_EXCHANGED = ("accepted", "scheduled", "queued", "sending", "receiving")
EXCHANGED = ("sent", "delivered", "received", "read", "partially_delivered")
NO_MEDIA = (None, "", "0", 0)
NO_INSTANT = "must be a date and time with a UTC offset"
DIRECTIONS = ("inbound", "outbound-api", "outbound-call", "outbound-reply")
SID = re.compile(r"(SM|MM)[0-9a-zA-Z]{1,64}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Twilio's own command line writes the names of the bulk export in camelCase.
CAMEL_NAMES = {name: name for name in ("sid", "from", "to", "body", "status", "direction")} | {
    "date_sent": "dateSent",
    "date_created": "dateCreated",
    "num_segments": "numSegments",
    "num_media": "numMedia",
}
# What an export calls the fields that a complaint names.
JSON_NAMES = {"created_at": "date_sent", "segment_count": "num_segments"}
CSV_COLUMNS = {name: name.title() for name in ("from", "to", "body", "status", "sid", "direction")}
CSV_COLUMNS |= {"date_sent": "SentDate", "num_segments": "NumSegments"}
CSV_NAMES = CSV_COLUMNS | {field: CSV_COLUMNS[name] for field, name in JSON_NAMES.items()}


def read_json(file: BinaryIO, options: Options) -> Export:
    """Read the messages of a bulk export day file, or of the output of Twilio's command line."""
    schema = ImportMessageSchema(options.region)

    def check(message: dict[str, Any]) -> dict[str, Any] | None:
        names = CAMEL_NAMES.items()
        resource = {name: message.get(name, message.get(camel)) for name, camel in names}
        return _check(resource, schema)

    return Export(b"", read_json_lines(file, check, JSON_NAMES), JSON_NAMES)


def read_csv(file: BinaryIO, options: Options) -> Export:
    """Read a console message log.

    Raises UnreadableFile without its header, or if a spreadsheet took the plus signs away.
    """
    log = CsvFile(file)
    missing = [column for column in CSV_COLUMNS.values() if log.header.count(column) != 1]
    if missing:
        raise UnreadableFile(f"the header must have one column {', one '.join(missing)}")
    schema = ImportMessageSchema(options.region)

    def check(message: dict[str, Any]) -> dict[str, Any] | None:
        refuse_lost_plus_signs(options, message["from"], message["to"])
        return _check(message, schema)

    return Export(log.header_bytes, log.rows(CSV_COLUMNS, check, CSV_NAMES), CSV_NAMES)


def _check(message: dict[str, Any], schema: ImportMessageSchema) -> dict[str, Any] | None:
    """Return the checked fields of a message resource; None if it was not exchanged."""
    status = str(message["status"]).strip().lower()
    if status in NOT_EXCHANGED + NOT_YET_EXCHANGED:
        return None
    if status not in EXCHANGED:
        raise ValidationError({"status": "must be a status of Twilio, such as delivered"})
    sid = SID.fullmatch(str(message["sid"]))
    if not sid:
        raise ValidationError({"sid": "must be a Twilio message SID"})
    direction = message["direction"]
    if direction not in DIRECTIONS:
        raise ValidationError({"direction": f"must be one of {', '.join(DIRECTIONS)}"})
    is_mms = sid[1] == "MM" or message.get("num_media") not in NO_MEDIA
    body, sent = message["body"], message["date_sent"]
    instant = message.get("date_created") if sent is None else sent
    row = {
        "id": str(carrier_message_id(sid[0])),
        "direction": direction.partition("-")[0],
        "from": message["from"],
        "to": message["to"],
        # A text message without a text had none, or its text was removed at Twilio.
        "body": (None if is_mms else "") if body in ("", None) else body,
        "channel": "mms" if is_mms else "sms",
        "created_at": read_instant("date_sent", instant, parse_zoned, NO_INSTANT),
        "segment_count": read_segments(message["num_segments"]),
    }
    return schema.check(row) | {"has_carrier_id": True}
