"""The demo inbox: the messages of sql/demo.sql, recorded like everybody's."""

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import LiteralString, cast

from conversations.database import pool, queries
from conversations.database.queries import Row
from conversations.inbox import api_keys, organizations, retention
from conversations.inbox.messages import Message, complete_message, get_messages, record_messages

MESSAGES = (Path(__file__).parents[2] / "sql" / "demo.sql").read_text(encoding="utf-8")
NAMESPACE = uuid.UUID("9a4f6b1e-2f55-4a8e-8d3c-7a1f0e5b3c03")
ORGANIZATION_ID = uuid.uuid5(NAMESPACE, "organization")
NUMBERS = {
    "+15551112222": uuid.UUID("7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e"),
    "+15551113333": uuid.uuid5(NAMESPACE, "+15551113333"),
}
# One retention run in the past, so that the inbox has a redacted conversation to show.
REDACTED_AT = datetime(2026, 4, 10, 3, 11, 42, tzinfo=UTC)
RETENTION_DAYS = 90
KEY_LABEL = "demo"


def load() -> None:
    """Load the demo inbox unless it is there; changes made to it since then stay."""
    # Without retention, because the next retention run would leave nothing to try.
    organizations.create_organization("Brightside Dental (demo)", id=ORGANIZATION_ID)
    for number, id in NUMBERS.items():
        organizations.create_phone_number(ORGANIZATION_ID, number, id)
    with pool.transaction() as connection:
        rows = connection.execute(cast(LiteralString, MESSAGES)).fetchall()
    messages = [_message(number, row) for number, row in enumerate(rows)]
    if get_messages(ORGANIZATION_ID, [messages[-1]["id"]]):
        return
    # The redacted messages first, so that the last message tells that all of this was done.
    readable_from = retention.readable_from(RETENTION_DAYS, REDACTED_AT)
    expired = [message for message in messages if message["created_at"] < readable_from]
    record_messages(ORGANIZATION_ID, expired)
    retention.redact_expired(ORGANIZATION_ID, readable_from, at=REDACTED_AT)
    record_messages(ORGANIZATION_ID, messages)


def _message(number: int, row: Row) -> Message:
    ends = row.pop("phone_number"), row.pop("contact_number")
    sender, receiver = ends if row["direction"] == "outbound" else reversed(ends)
    given = row | {
        "id": uuid.uuid5(NAMESPACE, str(number)),
        "from_number": sender,
        "to_number": receiver,
        "segment_count": len(row["body"]) // 153 + 1 if row["body"] else None,
    }
    return complete_message(given, NUMBERS)


def new_demo_key() -> str:
    """Return a new key for the demo inbox and revoke the earlier ones."""
    for earlier in queries.fetch_all("list_api_keys", organization_id=ORGANIZATION_ID):
        if earlier["label"] == KEY_LABEL and earlier["revoked_at"] is None:
            api_keys.revoke_api_key(ORGANIZATION_ID, earlier["id"])
    return api_keys.create_api_key(ORGANIZATION_ID, api_keys.SCOPES, KEY_LABEL)
