"""The webhooks of SMSGate (capcom6/android-sms-gateway), an app that makes a phone a gateway.

Source: docs.sms-gate.app/features/webhooks.
"""

from collections.abc import Mapping
from typing import Any

from conversations.api.hooks.reports import HookQuery, Report, Skip, own_end, skip
from conversations.inbox.message_ids import carrier_message_id
from schemas.fields import Instant, PhoneNumber, format_instant
from schemas.hooks import Anything, HookSchema, OwnNumber, String, find_event


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


def read(content: Mapping[str, Any], query: HookQuery) -> list[Report | Skip]:
    """Return the message of an event, or why there is none. Raises ValidationError."""
    event = find_event(content, "event")
    if event not in ("sms:received", "mms:downloaded"):
        return skip("event", event)
    payload = content.get("payload")
    if isinstance(payload, dict) and "phoneNumber" in payload:
        # Older versions of the app have this name.
        content = {**content, "payload": {"sender": payload["phoneNumber"], **payload}}
    given = SmsgateSchema.of_region(query.region).check(content)
    is_mms = event == "mms:downloaded"
    text = (given["mms_text"] if is_mms else given["text"]) or ""
    own_number, own_name = own_end(given["own_number"], "payload.recipient", query)
    parts = (given["device"], given["contact_number"], format_instant(given["at"]), text)
    attachments = given["attachments"] if isinstance(given["attachments"], list) else []
    report = Report(
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
    return [report]
