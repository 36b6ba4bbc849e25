"""The webhooks of SMSGate (capcom6/android-sms-gateway), an app that makes a phone a gateway.

Source: docs.sms-gate.app/features/webhooks.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from marshmallow import ValidationError

from conversations.api.hooks.reports import (
    HookQuery,
    Report,
    Skip,
    addresses,
    find_own_number,
    skip,
    whole_text,
)
from conversations.inbox.message_ids import smsgate_message_id
from conversations.inbox.organizations import get_id_namespace
from schemas.fields import MAX_TEXT_LENGTH, PhoneNumber
from schemas.hooks import Anything, HookInstant, HookSchema, OwnNumber, String, find, find_event

# Base64 of attachments, which is thrown away, makes most of a call.
MAX_BODY_BYTES = 2**24
# Events with up to 100 messages that are not read, and what to register in their place.
BATCHES = {"sms:batch:received": "sms:received", "mms:batch:downloaded": "mms:downloaded"}
# On Android 5 and 6 the app writes the offset -05:00 as +-5:00, and -03:30 as +-3:-30.
ODD_OFFSET = re.compile(r"\+-([0-9]{1,2}):?-?([0-9]{2})\Z")


class PhoneInstant(HookInstant):
    """An instant with an offset, also as SMSGate writes it on old phones."""

    def read(self, value: str) -> datetime:
        """Return an aware datetime in UTC."""
        return super().read(ODD_OFFSET.sub(lambda odd: f"-{int(odd[1]):02}:{odd[2]}", value))


class SmsgateSchema(HookSchema):
    """A message that a phone received. The app's ids repeat, so its content is its id."""

    event = String(data_key="event", required=True)
    contact_number = PhoneNumber(data_key="payload.sender", required=True)
    own_number = OwnNumber(data_key="payload.recipient")
    sim = Anything(data_key="payload.simNumber")
    at = PhoneInstant(data_key="payload.receivedAt", required=True)
    text = String(data_key="payload.message")
    mms_text = String(data_key="payload.body")
    subject = Anything(data_key="payload.subject")
    attachments = Anything(data_key="payload.attachments")


def read(content: Mapping[str, Any], query: HookQuery) -> list[Report | Skip]:
    """Return the message of an event, or why there is none. Raises ValidationError."""
    event = find_event(content, "event")
    if event in BATCHES:
        raise ValidationError({"event": f"register {BATCHES[event]} instead"})
    if event not in BATCHES.values():
        return [skip("event", event)]
    payload = content.get("payload")
    if isinstance(payload, dict) and "phoneNumber" in payload:
        # Older versions of the app have this name.
        content = {**content, "payload": {"sender": payload["phoneNumber"], **payload}}
    if find(content, "payload.sender") == "unknown":
        return [Skip("the sender is hidden")]
    given = SmsgateSchema.of_region(query.region).check_content(content)
    is_mms = event == "mms:downloaded"
    text = (given["mms_text"] if is_mms else given["text"]) or ""
    sims = {"1": (query.sim1, "sim1"), "2": (query.sim2, "sim2")}
    named = [(given["own_number"], "payload.recipient"), sims.get(str(given["sim"]), (None, ""))]
    own = find_own_number(named, query)
    contact_number, at = given["contact_number"], given["at"]
    stored_text = whole_text(text, given["subject"], is_mms)[:MAX_TEXT_LENGTH]
    namespace = get_id_namespace(query.organization_id)
    attachments = len(addresses(given["attachments"]))
    report = Report(
        id=smsgate_message_id(namespace, own.number, contact_number, at, stored_text),
        own=own,
        contact_number=contact_number,
        text=text,
        subject=given["subject"],
        is_mms=is_mms,
        at=at,
        reasons=(f"attachments without an address: {attachments}",) if attachments else (),
    )
    return [report]
