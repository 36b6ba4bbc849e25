"""Twilio's messaging webhook, and that of SignalWire's compatible API.

Source: twilio.com/docs/messaging/guides/webhook-request.
"""

import re
from collections.abc import Mapping
from typing import Any

from conversations.api.hooks.reports import HookQuery, Report, Skip, own_end, segments, skip
from conversations.inbox.messages import carrier_message_id
from schemas.hooks.twilio import TwilioSchema

OTHER_CHANNEL = re.compile("([a-z]+):", re.IGNORECASE)
MEDIA_FIELD = re.compile("MediaUrl[0-9]{1,3}")
OPT_OUT_TYPES = {"STOP": False, "START": True}


def read(content: Mapping[str, Any], query: HookQuery) -> list[Report | Skip]:
    """Return the message of a form, or why there is none. Raises ValidationError."""
    status = content.get("MessageStatus") or content.get("SmsStatus") or "received"
    if status != "received":
        return skip("status of delivery", status)
    for end in (content.get("From", ""), content.get("To", "")):
        if channel := OTHER_CHANNEL.match(end):
            return skip("channel", channel[1])
    sids = [content[name] for name in ("MessageSid", "SmsSid", "SmsMessageSid") if name in content]
    given = TwilioSchema.of_region(query.region).check(
        {**content, **({"MessageSid": sids[0]} if sids else {})}
    )
    own_number, own_name = own_end(given["own_number"], "To", query)
    media_fields = sorted(filter(MEDIA_FIELD.fullmatch, content), key=lambda name: int(name[8:]))
    has_media = given["id"].startswith("MM") or given["media_count"] not in (None, "", "0")
    return [
        Report(
            id=carrier_message_id(given["id"]),
            direction="inbound",
            own_number=own_number,
            own_name=own_name,
            contact_number=given["contact_number"],
            text=given["text"] or "",
            is_mms=has_media,
            media=[content[name] for name in media_fields],
            segment_count=segments(given["segment_count"]),
            opted_in=OPT_OUT_TYPES.get(given["opt_out_type"]),
        )
    ]
