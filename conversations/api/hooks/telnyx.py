"""Telnyx's messaging webhooks, for messages that were received and that were sent.

Source: developers.telnyx.com/docs/messaging/messages/receiving-webhooks.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import ValidationError

from conversations.api.hooks.reports import (
    HookQuery,
    Report,
    Skip,
    addresses,
    own_end,
    segments,
    skip,
)
from conversations.inbox.messages import carrier_message_id
from schemas.fields import PhoneNumber
from schemas.hooks.base import find
from schemas.hooks.telnyx import TelnyxFinalizedSchema, TelnyxReceivedSchema
from schemas.numbers import PHONE_NUMBER, to_e164

RECIPIENTS = "data.payload.to"
SENT = ("sent", "delivered", "delivery_unconfirmed")


def read(content: Mapping[str, Any], query: HookQuery) -> list[Report | Skip]:
    """Return the messages of an event, or why there are none. Raises ValidationError."""
    event = TelnyxReceivedSchema.of_region(None).check_event(content)
    if event not in ("message.received", "message.finalized"):
        return skip("event", event)
    type = find(content, "data.payload.type")
    if isinstance(type, str) and type not in ("SMS", "MMS"):
        return skip("channel", type)
    if event == "message.received":
        return list(_received(TelnyxReceivedSchema.of_region(query.region).check(content), query))
    return list(_sent(TelnyxFinalizedSchema.of_region(query.region).check(content), query))


def _received(given: dict[str, Any], query: HookQuery) -> Iterator[Report | Skip]:
    """Yield a report for each number that may be the organization's: a group has several."""
    numbers = [number for number, _ in _recipients(given["recipients"], query) if number]
    if given["recipients"] and not numbers:
        raise ValidationError({RECIPIENTS: PhoneNumber.complaint})
    copies = {number for number, _ in _recipients(given["copies"], query) if number} - {*numbers}
    ends = [(number, RECIPIENTS) for number in (*numbers, *copies)]
    if not numbers:
        ends.append(own_end(None, RECIPIENTS, query))
    for own_number, own_name in ends:
        yield Report(
            id=carrier_message_id("telnyx", given["id"], own_number),
            direction="inbound",
            own_number=own_number,
            own_name=own_name,
            contact_number=given["contact_number"],
            at=given["received_at"] or given["occurred_at"],
            is_copy=own_number in copies,
            **_content(given),
        )


def _sent(given: dict[str, Any], query: HookQuery) -> Iterator[Report | Skip]:
    """Yield a report for each recipient that the message reached, because all have its id."""
    own_number, own_name = own_end(given["own_number"], "data.payload.from.phone_number", query)
    recipients = _recipients(given["recipients"], query)
    if not recipients or not all(number for number, _ in recipients):
        raise ValidationError({RECIPIENTS: PhoneNumber.complaint})
    for number, status in recipients:
        if status not in SENT:
            yield from skip("status", status)
            continue
        yield Report(
            id=carrier_message_id("telnyx", given["id"], own_number, number),
            direction="outbound",
            own_number=own_number,
            own_name=own_name,
            contact_number=number,
            at=given["sent_at"] or given["completed_at"] or given["occurred_at"],
            **_content(given),
        )


def _content(given: dict[str, Any]) -> dict[str, Any]:
    return {
        "text": given["text"] or "",
        "is_mms": given["type"] == "MMS",
        "media": addresses(given["media"]),
        "segment_count": segments(given["segment_count"]),
    }


def _recipients(items: object, query: HookQuery) -> list[tuple[str, object]]:
    """Return the number of each recipient of a list, or an empty text, and the status."""
    found = []
    for item in items if isinstance(items, list) else []:
        number = find(item, "phone_number")
        number = to_e164(number, query.region) if isinstance(number, str) else ""
        is_number = PHONE_NUMBER.fullmatch(number)
        found.append((number if is_number else "", find(item, "status")))
    return found
