"""Redaction removes the bodies and media of messages, past retention or with one contact."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from conversations.database import pool, queries

# A batch is one transaction, small enough that no lock is held for long.
REDACTION_BATCH = 1000


def readable_from(retention_days: int, now: datetime) -> datetime:
    """Return the start of the oldest UTC day that is within retention at `now`."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=retention_days - 1)


def redact_expired(organization_id: UUID, before: datetime, at: datetime | None = None) -> int:
    """Redact the readable messages from before an instant and return their number.

    `at` is what `redacted_at` becomes; None is PostgreSQL's now. Raises pool.Unavailable.
    """
    return _redact("lock_expired_messages", organization_id, at, readable_from=before)


def erase_contact(organization_id: UUID, contact_number: str) -> int:
    """Redact all readable messages with a contact and return their number.

    Raises pool.Unavailable.
    """
    params = {"organization_id": organization_id, "contact_number": contact_number}
    found = queries.fetch_all("find_conversations", **params)
    lock_query = "lock_conversation_messages"
    return sum(
        _redact(lock_query, organization_id, row["now"], conversation_id=row["id"]) for row in found
    )


def _redact(lock_query: str, organization_id: UUID, at: datetime | None, **which: Any) -> int:
    which |= {"organization_id": organization_id, "limit": REDACTION_BATCH, "start_at": None}
    total, is_done = 0, False
    while not is_done:
        with pool.transaction() as connection:
            messages = queries.fetch_all(lock_query, connection, **which)
            if messages:
                params = {
                    "organization_id": organization_id,
                    "ids": [message["id"] for message in messages],
                    "conversation_ids": list({message["conversation_id"] for message in messages}),
                    "redacted_at": at,
                }
                queries.execute("lock_conversations", connection, **params)
                queries.execute("redact_messages", connection, **params)
                which["start_at"] = messages[-1]["created_at"]
        total += len(messages)
        is_done = len(messages) < REDACTION_BATCH
    return total
