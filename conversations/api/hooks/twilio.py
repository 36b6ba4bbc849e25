"""Twilio's messaging webhook, and that of SignalWire's compatible API: a form.

Source: twilio.com/docs/messaging/guides/webhook-request.
"""

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError

from conversations.api.hooks.reports import (
    HookQuery,
    Report,
    Skip,
    consent_of,
    find_own_number,
    segments,
    skip,
)
from conversations.inbox.message_ids import carrier_message_id
from schemas.fields import PhoneNumber
from schemas.hooks import Anything, CarrierId, HookSchema, OwnNumber, String

OTHER_CHANNEL = re.compile("([a-z]+):", re.IGNORECASE)
MEDIA_FIELD = re.compile("MediaUrl[0-9]{1,3}")
NOT_READ = "is of a Conversations webhook: register that of the number instead"


class TwilioSchema(HookSchema):
    """A message that was received. Pictures are in `MediaUrl0`, `MediaUrl1` and so on."""

    id = CarrierId(data_key="MessageSid", required=True)
    contact_number = PhoneNumber(data_key="From", required=True)
    own_number = OwnNumber(data_key="To")
    text = String(data_key="Body")
    segment_count = Anything(data_key="NumSegments")
    media_count = Anything(data_key="NumMedia")
    status = Anything(data_key="SmsStatus", load_default="received")
    opt_out_type = Anything(data_key="OptOutType")


def read(content: Mapping[str, Any], query: HookQuery) -> list[Report | Skip]:
    """Return the message of a form, or why there is none. Raises ValidationError."""
    if content.get("EventType"):
        raise ValidationError({"EventType": NOT_READ})
    status = content.get("MessageStatus") or content.get("SmsStatus") or "received"
    if status != "received":
        return [skip("status of delivery", status)]
    for end in (content.get("From", ""), content.get("To", "")):
        if channel := OTHER_CHANNEL.match(end):
            return [skip("channel", channel[1])]
    for name in ("SmsSid", "SmsMessageSid"):
        if name in content:
            content = {"MessageSid": content[name], **content}
    given = TwilioSchema.of_region(query.region).check_content(content)
    media_fields = sorted(filter(MEDIA_FIELD.fullmatch, content), key=lambda name: int(name[8:]))
    report = Report(
        id=carrier_message_id(given["id"]),
        own=find_own_number([(given["own_number"], "To")], query),
        contact_number=given["contact_number"],
        text=given["text"] or "",
        is_mms=given["id"].startswith("MM") or given["media_count"] not in (None, "", "0"),
        media=[content[name] for name in media_fields],
        segment_count=segments(given["segment_count"]),
        opted_in=consent_of(given["opt_out_type"]),
    )
    return [report]
