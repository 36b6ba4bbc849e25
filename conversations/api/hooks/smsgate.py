"""The webhooks of SMSGate (capcom6/android-sms-gateway), an app that makes a phone a gateway.

Source: docs.sms-gate.app/features/webhooks.
"""

from collections.abc import Mapping
from typing import Any

from conversations.api.hooks.reports import HookQuery, Report, Skip, own_end, skip
from conversations.inbox.messages import carrier_message_id
from schemas.fields import format_instant
from schemas.hooks.smsgate import SmsgateSchema


def read(content: Mapping[str, Any], query: HookQuery) -> list[Report | Skip]:
    """Return the message of an event, or why there is none. Raises ValidationError."""
    schema = SmsgateSchema.of_region(query.region)
    event = schema.check_event(content)
    if event not in ("sms:received", "mms:downloaded"):
        return skip("event", event)
    payload = content.get("payload")
    if isinstance(payload, dict) and "sender" not in payload and "phoneNumber" in payload:
        # Older versions of the app have this name.
        content = {**content, "payload": {**payload, "sender": payload["phoneNumber"]}}
    given = schema.check(content)
    is_mms = event == "mms:downloaded"
    text = (given["mms_text"] if is_mms else given["text"]) or ""
    own_number, own_name = own_end(given["own_number"], "payload.recipient", query)
    parts = (given["device"], given["contact_number"], format_instant(given["at"]), text)
    attachments = given["attachments"] if isinstance(given["attachments"], list) else []
    return [
        Report(
            id=carrier_message_id("smsgate", *parts, own_number),
            direction="inbound",
            own_number=own_number,
            own_name=own_name,
            contact_number=given["contact_number"],
            text=text,
            is_mms=is_mms,
            at=given["at"],
            reasons=[f"attachments without an address: {len(attachments)}"] if attachments else [],
        )
    ]
