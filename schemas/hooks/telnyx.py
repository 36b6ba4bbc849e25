"""POST /v1/hooks/telnyx: the events of Telnyx."""

from schemas.fields import Instant, PhoneNumber
from schemas.hooks.base import Anything, CarrierId, HookSchema, OwnNumber, String


class TelnyxSchema(HookSchema):
    """An event about a message; `to` lists several numbers for a group."""

    event = String(data_key="data.event_type", required=True, example="message.received")
    id = CarrierId(
        data_key="data.payload.id", required=True, example="84cca175-9755-4859-b67f-4730d7f58aa3"
    )
    type = Anything(data_key="data.payload.type", load_default=None, example="SMS")
    recipients = Anything(
        data_key="data.payload.to",
        required=True,
        example=[{"phone_number": "+15551112222", "status": "webhook_delivered"}],
    )
    copies = Anything(data_key="data.payload.cc", load_default=None, example=[])
    text = String(data_key="data.payload.text", load_default=None, example="See you at noon")
    media = Anything(data_key="data.payload.media", load_default=None, example=[])
    segment_count = Anything(data_key="data.payload.parts", load_default=None, example=1)
    occurred_at = Instant(data_key="data.occurred_at", load_default=None)


class TelnyxReceivedSchema(TelnyxSchema):
    """A message that was received."""

    contact_number = PhoneNumber(
        data_key="data.payload.from.phone_number", required=True, example="+15554443333"
    )
    received_at = Instant(
        data_key="data.payload.received_at", load_default=None, example="2026-04-28T12:00:01Z"
    )


class TelnyxFinalizedSchema(TelnyxSchema):
    """A message that was sent."""

    own_number = OwnNumber(data_key="data.payload.from.phone_number", load_default=None)
    sent_at = Instant(data_key="data.payload.sent_at", load_default=None)
    completed_at = Instant(data_key="data.payload.completed_at", load_default=None)
