"""The webhooks of httpSMS, an app that makes a phone a gateway: events in JSON.

Source: docs.httpsms.com/webhooks/introduction.
"""

from collections.abc import Mapping
from typing import Any

from conversations.api.hooks.reports import (
    HookQuery,
    Report,
    Skip,
    addresses,
    find_own_number,
    skip,
)
from conversations.inbox.message_ids import carrier_message_id
from schemas.fields import PhoneNumber
from schemas.hooks import (
    Anything,
    CarrierId,
    HookInstant,
    HookSchema,
    OwnNumber,
    String,
    find_event,
)


class HttpsmsSchema(HookSchema):
    """An event about a message of a phone."""

    event = String(data_key="type", required=True)
    id = CarrierId(data_key="data.message_id", required=True)
    own_number = OwnNumber(data_key="data.owner")
    contact_number = PhoneNumber(data_key="data.contact", required=True)
    text = String(data_key="data.content")
    is_encrypted = Anything(data_key="data.encrypted", load_default=False)
    attachments = Anything(data_key="data.attachments")
    at = HookInstant(data_key="data.timestamp")
    event_at = HookInstant(data_key="time")


class HttpsmsSentSchema(HttpsmsSchema):
    """A message that the phone sent; its id has another name."""

    id = CarrierId(data_key="data.id", required=True)


SCHEMAS = {"message.phone.received": HttpsmsSchema, "message.phone.sent": HttpsmsSentSchema}


def read(content: Mapping[str, Any], query: HookQuery) -> list[Report | Skip]:
    """Return the message of an event, or why there is none. Raises ValidationError."""
    event = find_event(content, "type")
    if event not in SCHEMAS:
        return [skip("event", event)]
    given = SCHEMAS[event].of_region(query.region).check_content(content)
    own = find_own_number([(given["own_number"], "data.owner")], query)
    is_encrypted = given["is_encrypted"] is True
    report = Report(
        id=carrier_message_id("httpsms", given["id"], own.number),
        direction="inbound" if event == "message.phone.received" else "outbound",
        own=own,
        contact_number=given["contact_number"],
        text="" if is_encrypted else given["text"] or "",
        is_mms=is_encrypted,
        media=addresses(given["attachments"]),
        at=given["at"] or given["event_at"],
        reasons=("the text is encrypted",) if is_encrypted else (),
    )
    return [report]
