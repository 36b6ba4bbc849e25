"""POST /v1/consent: the body, which is also a row of import-consent."""

from schemas.base import RequestSchema
from schemas.fields import Flag, PastInstant, PhoneNumber, Uuid


class RecordConsentSchema(RequestSchema):
    """One consent event."""

    phone_number_id = Uuid(required=True)
    contact_number = PhoneNumber(required=True)
    opted_in = Flag(required=True)
    captured_at = PastInstant()
