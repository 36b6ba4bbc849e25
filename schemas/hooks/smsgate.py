"""POST /v1/hooks/smsgate: the events of SMSGate (android-sms-gateway)."""

from schemas.fields import Instant, PhoneNumber
from schemas.hooks.base import Anything, HookSchema, OwnNumber, String


class SmsgateSchema(HookSchema):
    """A message that a phone received. Its ids repeat, so device, sender and instant tell it."""

    event = String(data_key="event", required=True, example="sms:received")
    device = String(data_key="deviceId", required=True, example="ffffffffceb0b1db0000018e")
    contact_number = PhoneNumber(data_key="payload.sender", required=True, example="+15554443333")
    own_number = OwnNumber(
        data_key="payload.recipient",
        load_default=None,
        description="Often null: then `number` is a parameter.",
        example="+15551112222",
    )
    at = Instant(data_key="payload.receivedAt", required=True, example="2026-04-28T12:00:01.000Z")
    text = String(data_key="payload.message", load_default=None, example="See you at noon")
    mms_text = String(data_key="payload.body", load_default=None)
    attachments = Anything(data_key="payload.attachments", load_default=None)
