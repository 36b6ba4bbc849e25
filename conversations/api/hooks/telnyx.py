"""Telnyx's messaging webhooks, for messages that were received and that were sent: JSON.

Source: developers.telnyx.com/docs/messaging/messages/receiving-webhooks.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import ValidationError

from conversations.api.hooks import reports
from conversations.api.hooks.reports import HookQuery, Report, Skip, own_end, skip
from conversations.inbox.message_ids import carrier_message_id
from schemas import hooks
from schemas.fields import Instant, PhoneNumber
from schemas.hooks import Anything, CarrierId, HookSchema, OwnNumber, String

SENDER = "data.payload.from.phone_number"
RECIPIENTS = "data.payload.to"
SENT = ("sent", "delivered", "delivery_unconfirmed")


class TelnyxSchema(HookSchema):
    """An event about a message; `to` lists several numbers for a group."""

    event = String(data_key="data.event_type", required=True, example="message.received")
    id = CarrierId(
        data_key="data.payload.id", required=True, example="84cca175-9755-4859-b67f-4730d7f58aa3"
    )
    type = Anything(data_key="data.payload.type", load_default=None, example="SMS")
    recipients = Anything(
        data_key=RECIPIENTS,
        required=True,
        example=[{"phone_number": "+15551112222", "status": "webhook_delivered"}],
    )
    copies = Anything(data_key="data.payload.cc", load_default=None, example=[])
    text = String(data_key="data.payload.text", load_default=None, example="See you at noon")
    media = Anything(data_key="data.payload.media", load_default=None, example=[])
    segment_count = Anything(data_key="data.payload.parts", load_default=None, example=1)
    occurred_at = Instant(data_key="data.occurred_at", load_default=None)


class TelnyxReceivedSchema(TelnyxSchema):
    """A message that was received."""

    contact_number = PhoneNumber(data_key=SENDER, required=True, example="+15554443333")
    received_at = Instant(
        data_key="data.payload.received_at", load_default=None, example="2026-04-28T12:00:01Z"
    )


class TelnyxFinalizedSchema(TelnyxSchema):
    """A message that was sent."""

    own_number = OwnNumber(data_key=SENDER, load_default=None)
    sent_at = Instant(data_key="data.payload.sent_at", load_default=None)
    completed_at = Instant(data_key="data.payload.completed_at", load_default=None)


def read(content: Mapping[str, Any], query: HookQuery) -> list[Report | Skip]:
    """Return the messages of an event, or why there are none. Raises ValidationError."""
    event = hooks.find_event(content, "data.event_type")
    if event not in ("message.received", "message.finalized"):
        return skip("event", event)
    type = hooks.find(content, "data.payload.type")
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
    own_number, own_name = own_end(given["own_number"], SENDER, query)
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
        "media": reports.addresses(given["media"]),
        "segment_count": reports.segments(given["segment_count"]),
    }


def _recipients(items: object, query: HookQuery) -> list[tuple[str, object]]:
    """Return the number of each recipient of a list, or an empty text, and the status."""
    return [
        (
            hooks.read_number(hooks.find(item, "phone_number"), query.region),
            hooks.find(item, "status"),
        )
        for item in (items if isinstance(items, list) else [])
    ]
