"""The webhooks of httpSMS, an app that makes a phone a gateway.

Source: docs.httpsms.com/webhooks/introduction.
"""

from collections.abc import Mapping
from typing import Any

from conversations.api.hooks.reports import HookQuery, Report, Skip, addresses, own_end, skip
from conversations.inbox.messages import carrier_message_id
from schemas.hooks.httpsms import HttpsmsSchema, HttpsmsSentSchema

SCHEMAS = {"message.phone.received": HttpsmsSchema, "message.phone.sent": HttpsmsSentSchema}


def read(content: Mapping[str, Any], query: HookQuery) -> list[Report | Skip]:
    """Return the message of an event, or why there is none. Raises ValidationError."""
    event = HttpsmsSchema.of_region(None).check_event(content)
    if event not in SCHEMAS:
        return skip("event", event)
    given = SCHEMAS[event].of_region(query.region).check(content)
    own_number, own_name = own_end(given["own_number"], "data.owner", query)
    is_encrypted = given["is_encrypted"] is True
    return [
        Report(
            id=carrier_message_id("httpsms", given["id"], own_number),
            direction="inbound" if event == "message.phone.received" else "outbound",
            own_number=own_number,
            own_name=own_name,
            contact_number=given["contact_number"],
            text="" if is_encrypted else given["text"] or "",
            is_mms=is_encrypted,
            media=addresses(given["attachments"]),
            at=given["at"] or given["event_at"],
            reasons=["the text is encrypted"] if is_encrypted else [],
        )
    ]
