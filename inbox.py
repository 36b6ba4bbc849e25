"""What changes an inbox, each in one transaction: messages, consent, redaction, repair.

The HTTP endpoints, the importers and the demo all come through here, so the summaries and counts
that the list is read from are kept in one place.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from uuid import UUID

import orjson
import psycopg
from marshmallow import ValidationError
from orjson import Fragment
from ulid import ULID

import db
import pool

OPT_OUT_KEYWORDS = frozenset(
    ("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT")
)
OPT_IN_KEYWORDS = frozenset(("START", "UNSTOP"))
REDACTION_BATCH = 1000

NOT_YOURS = "is not one of your phone numbers"


class Verdict(Enum):
    """What became of a message: stored now, stored before, or its id taken by another one."""

    CREATED = "imported"
    KNOWN = "already there"
    CONFLICT = "same id, different content"


def list_phone_numbers(organization_id: UUID) -> dict[str, UUID]:
    """Return the ids of an organization's numbers, by number."""
    rows = db.fetch_all("list_phone_numbers", organization_id=organization_id)
    return {row["number"]: row["id"] for row in rows}


def find_phone_numbers(
    organization_id: UUID, *, numbers: Sequence[str] = (), ids: Sequence[UUID] = ()
) -> dict[str, UUID]:
    """Return the ids of those that are named, by number or by id, of an organization's numbers."""
    named = {"numbers": list(numbers), "ids": list(ids)}
    rows = db.fetch_all("find_phone_numbers", organization_id=organization_id, **named)
    return {row["number"]: row["id"] for row in rows}


def new_message_id() -> UUID:
    """Return a UUIDv7 (RFC 9562 section 5.7): ids made later sort later."""
    raw = bytearray(ULID().bytes)
    raw[6] = raw[6] & 0x0F | 0x70
    raw[8] = raw[8] & 0x3F | 0x80
    return UUID(bytes=bytes(raw))


def complete_message(given: dict, numbers: dict[str, UUID]) -> dict:
    """Return a loaded CreateMessageSchema with an id, its conversation's pair, and `opted_in`.

    That is what the text says if it is a keyword. What else is absent stays absent, because a
    stored message is compared with what was given. Raises ValidationError if the end that must be
    one of `numbers` is not.
    """
    inbound = given["direction"] == "inbound"
    own, contact = ("to", "from") if inbound else ("from", "to")
    number = given[f"{own}_number"]
    if number not in numbers:
        raise ValidationError({own: NOT_YOURS})
    message = {
        "id": given.get("id") or new_message_id(),
        "phone_number_id": numbers[number],
        "phone_number": number,
        "contact_number": given[f"{contact}_number"],
        **given,
    }
    opted_in = opted_in_by(given.get("body") or "") if inbound else None
    if opted_in is not None:
        message["opted_in"] = opted_in
    return message


def opted_in_by(body: str) -> bool | None:
    """Return what a text makes of consent if the whole of it is a keyword."""
    word = body.strip()
    # ASCII only: str.upper would also turn a long s into S.
    word = word.upper() if word.isascii() else ""
    if word in OPT_IN_KEYWORDS:
        return True
    return False if word in OPT_OUT_KEYWORDS else None


def create_messages(organization_id: UUID, messages: Sequence[dict | Fragment]) -> list[Verdict]:
    """Store the messages that are not there yet and return what became of each, in order.

    They are as complete_message returns them, or that as JSON. Of those with the same id, the first
    counts.
    """
    text = orjson.dumps(messages).decode()
    with pool.transaction() as conn:
        made = db.fetch_one(
            "create_messages",
            conn,
            organization_id=organization_id,
            messages=text,
            now=datetime.now(UTC),
        )
        if made["summaries"]:
            params = {"organization_id": organization_id, "summaries": made["summaries"]}
            db.execute("update_conversations", conn, **params, **db.counting(conn))
        if made["events"]:
            _record_consent(conn, organization_id, made["events"])
        if made["created_count"] == len(messages):
            return [Verdict.CREATED] * len(messages)
        return _verdicts(conn, organization_id, orjson.loads(text), set(made["known"]))


def _verdicts(
    conn: psycopg.Connection, organization_id: UUID, messages: list[dict], known: set[str]
) -> list[Verdict]:
    stored = stored_messages(organization_id, {UUID(message["id"]) for message in messages}, conn)
    verdicts = []
    for message in messages:
        id = message["id"]
        verdicts.append(_compare(message, stored[UUID(id)]) if id in known else Verdict.CREATED)
        known.add(id)
    return verdicts


def _compare(message: dict, stored: dict) -> Verdict:
    stored = orjson.loads(orjson.dumps(stored))
    gone = {"body", "media_urls"} if stored["redacted_at"] else set()
    names = message.keys() & stored.keys() - gone
    is_same = all(message[name] == stored[name] for name in names)
    return Verdict.KNOWN if is_same else Verdict.CONFLICT


def stored_messages(organization_id: UUID, ids: Iterable[UUID], conn=None) -> dict[UUID, dict]:
    """Return stored messages by id, each as list_messages shows it."""
    rows = db.fetch_all("get_messages", conn, organization_id=organization_id, ids=list(ids))
    return {row["id"]: row for row in rows}


def record_consent(organization_id: UUID, events: list[dict]) -> tuple[list[dict], list[bool]]:
    """Record consent events in any order: loaded RecordConsentSchemas, phone_number, captured_at.

    Returns what is then on record, a row for each pair of number and contact, and for each event
    whether it was news: later than what was on record of its kind.
    """
    with pool.transaction() as conn:
        before, consents = _record_consent(conn, organization_id, events)
    latest = {}
    for row in before:
        pair = row["phone_number_id"], row["contact_number"]
        latest[*pair, True], latest[*pair, False] = row["opted_in_at"], row["opted_out_at"]
    return consents, [_is_news(event, latest) for event in events]


def _record_consent(conn: psycopg.Connection, organization_id: UUID, events: list) -> tuple:
    """Return what was on record before and what is now."""
    params = {"organization_id": organization_id, "events": orjson.dumps(events).decode()}
    before = db.fetch_all("create_conversations", conn, **params)
    return before, db.fetch_all("record_consent", conn, **params, **db.counting(conn))


def _is_news(event: dict, latest: dict) -> bool:
    kind = event["phone_number_id"], event["contact_number"], event["opted_in"]
    if latest[kind] and event["captured_at"] <= latest[kind]:
        return False
    latest[kind] = event["captured_at"]
    return True


def readable_from(retention_days: int, now: datetime) -> datetime:
    """Return the start of the oldest UTC day that retention still keeps at `now`."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=retention_days - 1)


def redact_expired(organization_id: UUID, before: datetime, at: datetime | None = None) -> int:
    """Remove what can still be read of messages before an instant; return how many those were."""
    return _redact("find_expired_messages", organization_id, at, readable_from=before)


def erase_contact(organization_id: UUID, contact_number: str) -> int:
    """Remove what can still be read of all messages with a contact; return how many those were."""
    return _redact("find_contact_messages", organization_id, None, contact_number=contact_number)


def _redact(find: str, organization_id: UUID, at: datetime | None, **which) -> int:
    """Redact what `find` finds in batches, so that no lock is held for long."""
    total = 0
    while True:
        with pool.transaction() as conn:
            found = db.fetch_all(
                find, conn, organization_id=organization_id, limit=REDACTION_BATCH, **which
            )
            if not found:
                return total
            _redact_batch(conn, organization_id, found, at or datetime.now(UTC))
        total += len(found)


def _redact_batch(conn: psycopg.Connection, organization_id: UUID, found: list, at) -> None:
    conversation_ids = list({row["conversation_id"] for row in found})
    db.execute("lock_conversations", conn, organization_id=organization_id, ids=conversation_ids)
    db.execute(
        "redact_messages",
        conn,
        organization_id=organization_id,
        ids=[row["id"] for row in found],
        redacted_at=at,
        **db.counting(conn),
    )
