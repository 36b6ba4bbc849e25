"""POST /v1/hooks/twilio: the form of Twilio, and of SignalWire's compatible API."""

from schemas.fields import PhoneNumber
from schemas.hooks.base import Anything, CarrierId, HookSchema, OwnNumber, String


class TwilioSchema(HookSchema):
    """A message that was received. Pictures are in `MediaUrl0`, `MediaUrl1` and so on."""

    id = CarrierId(
        data_key="MessageSid", required=True, example="SM0123456789abcdef0123456789abcdef"
    )
    contact_number = PhoneNumber(data_key="From", required=True, example="+15554443333")
    own_number = OwnNumber(data_key="To", load_default=None, example="+15551112222")
    text = String(data_key="Body", load_default=None, example="See you at noon")
    segment_count = Anything(data_key="NumSegments", load_default=None, example="1")
    media_count = Anything(data_key="NumMedia", load_default=None, example="0")
    status = Anything(
        data_key="SmsStatus", load_default="received", example="received", description="`received`"
    )
    opt_out_type = Anything(
        data_key="OptOutType",
        load_default=None,
        description="`STOP` or `START`, if Twilio itself took the text for one.",
    )
