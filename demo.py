"""The demo inbox: sql/demo.sql through the same write path as everybody's messages."""

import uuid
from datetime import UTC, datetime
from pathlib import Path

import db
import inbox
import keys
import pool

MESSAGES = (Path(__file__).parent / "sql" / "demo.sql").read_text()
NAMESPACE = uuid.UUID("9a4f6b1e-2f55-4a8e-8d3c-7a1f0e5b3c03")
ORGANIZATION_ID = uuid.uuid5(NAMESPACE, "organization")
NUMBERS = {
    "+15551112222": uuid.UUID("7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e"),
    "+15551113333": uuid.uuid5(NAMESPACE, "+15551113333"),
}
# One sweep of the past, so that the inbox has a redacted conversation to show.
SWEPT_AT = datetime(2026, 4, 10, 3, 11, 42, tzinfo=UTC)
RETENTION_DAYS = 90
KEY_LABEL = "demo"


def load() -> None:
    """Load the demo inbox, once: what people did to it since then stays as it is."""
    db.fetch_one(
        "create_organization",
        organization_id=ORGANIZATION_ID,
        name="Brightside Dental (demo)",
        # It keeps everything: the next sweep would leave nothing to try.
        message_retention_days=None,
    )
    for number, id in NUMBERS.items():
        db.fetch_one("create_phone_number", organization_id=ORGANIZATION_ID, id=id, number=number)
    with pool.connection() as conn:
        rows = conn.execute(MESSAGES).fetchall()
    messages = [_message(number, row) for number, row in enumerate(rows)]
    if inbox.stored_messages(ORGANIZATION_ID, [messages[-1]["id"]]):
        return
    # Those that are swept go first: the last message tells that all of this was done.
    readable_from = inbox.readable_from(RETENTION_DAYS, SWEPT_AT)
    inbox.create_messages(
        ORGANIZATION_ID, [each for each in messages if each["created_at"] < readable_from]
    )
    inbox.redact_expired(ORGANIZATION_ID, readable_from, at=SWEPT_AT)
    inbox.create_messages(ORGANIZATION_ID, messages)


def _message(number: int, row: dict) -> dict:
    ends = row["phone_number"], row["contact_number"]
    sender, receiver = ends if row["direction"] == "outbound" else reversed(ends)
    given = {
        "id": uuid.uuid5(NAMESPACE, str(number)),
        "direction": row["direction"],
        "from_number": sender,
        "to_number": receiver,
        "body": row["body"],
        "media_urls": row["media_urls"],
        "segment_count": len(row["body"]) // 153 + 1 if row["body"] else None,
        "created_at": row["created_at"],
    }
    return inbox.complete_message(given, NUMBERS)


def mint_key() -> str:
    """Return a fresh key for the demo inbox, and revoke the earlier ones."""
    for earlier in db.fetch_all("list_api_keys", organization_id=ORGANIZATION_ID):
        if earlier["label"] == KEY_LABEL and earlier["revoked_at"] is None:
            db.execute("revoke_api_key", organization_id=ORGANIZATION_ID, id=earlier["id"])
    return keys.create(ORGANIZATION_ID, keys.SCOPES, KEY_LABEL)
