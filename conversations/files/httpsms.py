"""A reader of httpSMS's messages, an object a line, as its API returns them.

Source: NdoleStudio/httpsms, api/pkg/entities/message.go.
"""

from typing import Any, BinaryIO

from marshmallow import ValidationError

from conversations.files.rows import Export, Options, check_exchange, ends_of, read_json_lines
from conversations.inbox.message_ids import carrier_message_id
from schemas.create_message import ImportMessageSchema
from schemas.fields import usable_media
from schemas.hooks import CarrierId

NAMES = {"number": "owner", "body": "content", "created_at": "order_timestamp"}
DIRECTIONS = {"mobile-originated": "inbound", "mobile-terminated": "outbound"}
EXCHANGED = ("received", "sent", "delivered")
# The zero instant of Go, in which httpSMS is written.
NO_INSTANT = "0001-01-01T00:00:00Z"


def read_messages(file: BinaryIO, options: Options) -> Export:
    """Read messages, with the ids that the hook gives them."""
    schema = ImportMessageSchema(options.region)

    def check(message: dict[str, Any]) -> dict[str, Any] | None:
        if message.get("type") == "call/missed" or message.get("status") not in EXCHANGED:
            return None
        row, ends = _message_row(message), (message.get("owner"), message.get("contact"))
        carrier_id = str(message.get("id"))
        if not CarrierId.accepts(carrier_id):
            raise ValidationError({"id": CarrierId.complaint})
        given = check_exchange(schema, options, *ends, row)
        id = carrier_message_id("httpsms", carrier_id, ends_of(given)[0])
        return given | {"id": id, "has_carrier_id": True}

    return Export(b"", read_json_lines(file, check, NAMES), NAMES)


def _message_row(message: dict[str, Any]) -> dict[str, Any]:
    """Return what a message says beside its ends and its id. Raises ValidationError."""
    direction = DIRECTIONS.get(str(message.get("type")))
    if direction is None:
        raise ValidationError({"type": f"must be {' or '.join(DIRECTIONS)}"})
    times = ("received_at", "sent_at") if direction == "inbound" else ("sent_at", "received_at")
    instants = [message.get(name) for name in (*times, "order_timestamp")]
    attachments = message.get("attachments") or []
    # The text of an encrypted message is known to the phone alone.
    body = None if message.get("encrypted") else message.get("content") or ""
    is_mms = bool(attachments) or body is None
    return {
        "direction": direction,
        "body": None if is_mms and not body else body,
        "media_urls": usable_media(attachments),
        "channel": "mms" if is_mms else "sms",
        "created_at": next((each for each in instants if each not in (None, NO_INSTANT)), None),
    }
