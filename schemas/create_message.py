"""POST /v1/messages: the body, which is also a row of an NDJSON import."""

from marshmallow import ValidationError, validates_schema

from schemas.base import RequestSchema
from schemas.fields import Choice, MediaUrls, PastInstant, PhoneNumber, SegmentCount, Text, Uuid


class CreateMessageSchema(RequestSchema):
    """One message. What is absent stays absent: a retry is compared by the fields that it gives."""

    id = Uuid()
    direction = Choice("inbound", "outbound", required=True)
    from_number = PhoneNumber(data_key="from", required=True)
    to_number = PhoneNumber(data_key="to", required=True)
    body = Text(allow_none=True)
    media_urls = MediaUrls()
    channel = Choice("sms", "mms")
    segment_count = SegmentCount()
    created_at = PastInstant()

    @validates_schema
    def require_content(self, data: dict, **_) -> None:
        """A message has a text or media."""
        if data.get("body") is None and not data.get("media_urls"):
            raise ValidationError(Text.complaint, "body")


class ImportMessageSchema(CreateMessageSchema):
    """A row of an NDJSON import: "now" would make it another message with every run."""

    created_at = PastInstant(required=True)
