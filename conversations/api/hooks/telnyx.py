"""Telnyx's messaging webhooks, for messages that were received and that were sent: JSON.

Source: developers.telnyx.com/docs/messaging/messages/receiving-webhooks.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import ValidationError

from conversations.api.hooks import reports
from conversations.api.hooks.reports import HookQuery, Report, Skip, skip
from conversations.inbox.message_ids import carrier_message_id
from schemas import hooks
from schemas.fields import PhoneNumber
from schemas.hooks import Anything, CarrierId, HookInstant, HookSchema, OwnNumber, String
from schemas.numbers import PHONE_NUMBER, to_e164

SENDER = "data.payload.from.phone_number"
RECIPIENTS = "data.payload.to"
MAX_RECIPIENTS = 100
NOT_READ = "register the webhook of the messaging profile instead"
SENT = ("sent", "delivered", "delivery_unconfirmed")


class TelnyxSchema(HookSchema):
    """An event about a message; `to` lists several numbers for a group."""

    event = String(data_key="data.event_type", required=True)
    id = CarrierId(data_key="data.payload.id", required=True)
    type = Anything(data_key="data.payload.type")
    recipients = Anything(data_key=RECIPIENTS, required=True)
    copies = Anything(data_key="data.payload.cc")
    text = String(data_key="data.payload.text")
    subject = Anything(data_key="data.payload.subject")
    media = Anything(data_key="data.payload.media")
    segment_count = Anything(data_key="data.payload.parts")
    occurred_at = HookInstant(data_key="data.occurred_at")


class TelnyxReceivedSchema(TelnyxSchema):
    """A message that was received."""

    verdict = Anything(data_key="data.payload.autoresponse_type")
    contact_number = PhoneNumber(data_key=SENDER, required=True)
    received_at = HookInstant(data_key="data.payload.received_at")


class TelnyxFinalizedSchema(TelnyxSchema):
    """A message that was sent."""

    own_number = OwnNumber(data_key=SENDER)
    sent_at = HookInstant(data_key="data.payload.sent_at")
    completed_at = HookInstant(data_key="data.payload.completed_at")


SCHEMAS = {"message.received": TelnyxReceivedSchema, "message.finalized": TelnyxFinalizedSchema}


def read(content: Mapping[str, Any], query: HookQuery) -> list[Report | Skip]:
    """Return the messages of an event, or why there are none. Raises ValidationError."""
    event = hooks.find_event(content, "data.event_type")
    if event.startswith("conversation."):
        raise ValidationError({"data.event_type": NOT_READ})
    if event not in SCHEMAS:
        return [skip("event", event)]
    type = hooks.find(content, "data.payload.type")
    if isinstance(type, str) and type.upper() not in ("", "SMS", "MMS"):
        return [skip("channel", type)]
    given = SCHEMAS[event].of_region(query.region).check_content(content)
    return list(_received(given, query) if event == "message.received" else _sent(given, query))


def _received(given: dict[str, Any], query: HookQuery) -> Iterator[Report | Skip]:
    """Yield a report for each of the organization's numbers: a group has several.

    A number that stands in `cc` alone got a copy, which is skipped.
    """
    to = [number for number, _ in _recipients(given["recipients"], query)]
    copies = [number for number, _ in _recipients(given["copies"], query)]
    named = [(number, RECIPIENTS) for number in (*to, *copies)]
    ours = reports.find_own_numbers(named or [(None, RECIPIENTS)], query)
    is_of_parameter = not {own.number for own in ours} & {*to, *copies}
    for own in ours:
        if own.number in to or is_of_parameter:
            yield Report(
                id=carrier_message_id("telnyx", given["id"], own.number),
                own=own,
                contact_number=given["contact_number"],
                at=given["received_at"] or given["occurred_at"],
                opted_in=reports.consent_of(given["verdict"]),
                **_content(given),
            )
        elif own.number in copies:
            yield Skip("a copy: the number is in cc alone")


def _sent(given: dict[str, Any], query: HookQuery) -> Iterator[Report | Skip]:
    """Yield a report for each recipient that the message reached, because all have its id."""
    recipients = list(_recipients(given["recipients"], query))
    if not recipients or not all(PHONE_NUMBER.fullmatch(number) for number, _ in recipients):
        raise ValidationError({RECIPIENTS: PhoneNumber.complaint})
    reached = [number for number, status in recipients if status in SENT]
    yield from (skip("status", status) for _, status in recipients if status not in SENT)
    if not reached:
        return
    own = reports.find_own_number([(given["own_number"], SENDER)], query)
    for number in reached:
        yield Report(
            id=carrier_message_id("telnyx", given["id"], own.number, number),
            direction="outbound",
            own=own,
            contact_number=number,
            at=given["sent_at"] or given["completed_at"] or given["occurred_at"],
            **_content(given),
        )


def _content(given: dict[str, Any]) -> dict[str, Any]:
    return {
        "text": given["text"] or "",
        "subject": given["subject"],
        "is_mms": str(given["type"]).upper() == "MMS",
        "media": reports.addresses(given["media"]),
        "segment_count": reports.segments(given["segment_count"]),
    }


def _recipients(items: object, query: HookQuery) -> Iterator[tuple[str, object]]:
    """Yield the number of each recipient of a list, or an empty text, and the status."""
    listed = items if isinstance(items, list) else []
    if len(listed) > MAX_RECIPIENTS:
        raise ValidationError({RECIPIENTS: f"must be up to {MAX_RECIPIENTS} recipients"})
    for item in listed:
        number = hooks.find(item, "phone_number")
        number = to_e164(number, query.region) if isinstance(number, str) else ""
        yield number, hooks.find(item, "status")
