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
    return _redact("lock_contact_messages", organization_id, None, contact_number=contact_number)


def _redact(lock_query: str, organization_id: UUID, at: datetime | None, **which: Any) -> int:
    which |= {"organization_id": organization_id, "limit": REDACTION_BATCH}
    total = 0
    while True:
        with pool.transaction() as connection:
            messages = queries.fetch_all(lock_query, connection, **which)
            if not messages:
                return total
            params = {"organization_id": organization_id, "redacted_at": at}
            conversations = {message["conversation_id"] for message in messages}
            queries.execute("lock_conversations", connection, **params, ids=list(conversations))
            ids = [message["id"] for message in messages]
            queries.execute("redact_messages", connection, **params, ids=ids)
        total += len(messages)
