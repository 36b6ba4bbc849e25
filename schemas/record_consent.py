"""POST /v1/consent: the body, which is also a row of import-consent."""

from schemas.base import RequestSchema
from schemas.fields import Flag, PastInstant, PhoneNumber, Uuid


class RecordConsentSchema(RequestSchema):
    """One consent event."""

    phone_number_id = Uuid(
        required=True,
        description="The id of one of your numbers.",
        example="7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e",
    )
    contact_number = PhoneNumber(
        required=True,
        description="Whose consent it is: E.164, a short code or a sender ID.",
        example="+15554443333",
    )
    opted_in = Flag(required=True, description="An opt-in, or an opt-out.", example=True)
    captured_at = PastInstant(
        description="When it was given or withdrawn, at most 24 hours ahead. Default: now."
    )
