"""POST /v1/messages: the body, which is also a row of an NDJSON import."""

from typing import Any

from marshmallow import ValidationError

from schemas.base import RequestSchema
from schemas.fields import (
    Choice,
    ExchangedText,
    Flag,
    MediaUrls,
    PastInstant,
    PhoneNumber,
    SegmentCount,
    Text,
    Uuid,
)


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

    def check_together(self, checked: dict[str, Any]) -> None:
        """Refuse a message without text and media."""
        if checked.get("body") is None and not checked.get("media_urls"):
            raise ValidationError({"body": Text.complaint})


class ImportMessageSchema(CreateMessageSchema):
    """A row of an import. Its instant is required: "now" would be another one with every run."""

    body = ExchangedText(allow_none=True)
    created_at = PastInstant(required=True)
    redacted_at = PastInstant(allow_none=True)
    had_text = Flag()
    is_keyword = Flag()

    def check_together(self, checked: dict[str, Any]) -> None:
        """Refuse an SMS without a text. Of an MMS some sources keep neither text nor media.

        As export-messages writes them, a message without content has `redacted_at`, or null, and
        `had_text`.
        """
        has_content = checked.get("body") is not None or checked.get("media_urls")
        if checked.get("redacted_at") is None and "had_text" not in checked:
            if not has_content and checked.get("channel") != "mms":
                raise ValidationError({"body": ExchangedText.complaint})
        elif has_content:
            raise ValidationError({"body": "must be absent where redacted_at or had_text is given"})
        elif "had_text" not in checked:
            raise ValidationError({"had_text": "is required where redacted_at is given"})
        elif checked["had_text"] and not checked.get("redacted_at"):
            raise ValidationError({"redacted_at": "is required where had_text is true"})
