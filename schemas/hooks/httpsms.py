"""POST /v1/hooks/httpsms: the events of httpSMS, which are CloudEvents."""

from schemas.fields import Instant, PhoneNumber
from schemas.hooks.base import Anything, CarrierId, HookSchema, OwnNumber, String


class HttpsmsSchema(HookSchema):
    """An event about a message of a phone."""

    event = String(data_key="type", required=True, example="message.phone.received")
    id = CarrierId(
        data_key="data.message_id", required=True, example="32343a19-da5e-4b1b-a767-3298a73703cb"
    )
    own_number = OwnNumber(data_key="data.owner", load_default=None, example="+15551112222")
    contact_number = PhoneNumber(data_key="data.contact", required=True, example="+15554443333")
    text = String(data_key="data.content", load_default=None, example="See you at noon")
    is_encrypted = Anything(data_key="data.encrypted", load_default=False, example=False)
    attachments = Anything(data_key="data.attachments", load_default=None, example=[])
    at = Instant(data_key="data.timestamp", load_default=None, example="2026-04-28T12:00:01Z")
    event_at = Instant(data_key="time", load_default=None)


class HttpsmsSentSchema(HttpsmsSchema):
    """A message that the phone sent; its id has another name."""

    id = CarrierId(data_key="data.id", required=True)
