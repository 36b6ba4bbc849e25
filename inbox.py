"""What changes an inbox, each in one transaction: messages, consent, redaction, repair.

The HTTP endpoints, the importers and the demo all come through here, so the summaries and counts
that the list is read from are kept in one place.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import NamedTuple
from uuid import UUID

import orjson
import psycopg
from marshmallow import ValidationError
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


class Message(NamedTuple):
    """A message as it was given, which a stored one is compared with, and as it is stored."""

    given: dict
    row: dict


def phone_numbers(organization_id: UUID, **named) -> dict[str, UUID]:
    """Return the ids of an organization's numbers by number: all, or those `numbers` or `ids`."""
    if named:
        named = {"numbers": [], "ids": [], **named}
    query = "find_phone_numbers" if named else "list_phone_numbers"
    rows = db.fetch_all(query, organization_id=organization_id, **named)
    return {row["number"]: row["id"] for row in rows}


def new_message_id() -> UUID:
    """Return a UUIDv7 (RFC 9562 section 5.7): ids made later sort later."""
    raw = bytearray(ULID().bytes)
    raw[6] = raw[6] & 0x0F | 0x70
    raw[8] = raw[8] & 0x3F | 0x80
    return UUID(bytes=bytes(raw))


def complete_message(given: dict, numbers: dict[str, UUID]) -> Message:
    """Return a loaded CreateMessageSchema with its defaults and its conversation's pair.

    Raises ValidationError if the end that must be one of `numbers` is not.
    """
    inbound = given["direction"] == "inbound"
    own, contact = ("to", "from") if inbound else ("from", "to")
    phone_number_id = numbers.get(given[f"{own}_number"])
    if phone_number_id is None:
        raise ValidationError({own: NOT_YOURS})
    defaults = {
        "phone_number_id": phone_number_id,
        "phone_number": given[f"{own}_number"],
        "contact_number": given[f"{contact}_number"],
        "body": None,
        "media_urls": [],
        "channel": "mms" if given.get("media_urls") else "sms",
        "segment_count": None,
    }
    if "id" not in given:
        defaults["id"] = new_message_id()
    if "created_at" not in given:
        defaults["created_at"] = datetime.now(UTC)
    return Message(given, defaults | given)


def keyword_event(message: dict) -> dict | None:
    """Return the consent event that an inbound message is, if its whole text is a keyword."""
    if message["direction"] != "inbound" or not message["body"]:
        return None
    word = message["body"].strip()
    # ASCII only: str.upper would also turn a long s into S.
    word = word.upper() if word.isascii() else ""
    if word not in OPT_OUT_KEYWORDS and word not in OPT_IN_KEYWORDS:
        return None
    return {
        "phone_number_id": message["phone_number_id"],
        "phone_number": message["phone_number"],
        "contact_number": message["contact_number"],
        "opted_in": word in OPT_IN_KEYWORDS,
        "captured_at": message["created_at"],
    }


def create_messages(organization_id: UUID, messages: list[Message]) -> list[Verdict]:
    """Store the messages that are not there yet and return what became of each, in order."""
    rows = {message.row["id"]: message.row for message in reversed(messages)}
    with pool.transaction() as conn:
        created = db.fetch_all(
            "create_messages",
            conn,
            organization_id=organization_id,
            messages=orjson.dumps(list(rows.values())).decode(),
        )
        new = {row["id"] for row in created}
        _update_conversations(conn, organization_id, [rows[id] for id in new])
        old = [
            m.row["id"]
            for m in messages
            if m.row["id"] not in new or m.row is not rows[m.row["id"]]
        ]
        stored = stored_messages(organization_id, old, conn) if old else {}
    return [_verdict(message, rows, new, stored) for message in messages]


def _verdict(message: Message, rows: dict, new: set, stored: dict) -> Verdict:
    id = message.row["id"]
    if id in new and message.row is rows[id]:
        return Verdict.CREATED
    return Verdict.KNOWN if _is_same(message.given, stored[id]) else Verdict.CONFLICT


def _update_conversations(conn: psycopg.Connection, organization_id: UUID, new: list[dict]) -> None:
    if not new:
        return
    db.execute(
        "update_conversations",
        conn,
        organization_id=organization_id,
        messages=orjson.dumps(new).decode(),
        **db.counting(conn),
    )
    events = [event for event in map(keyword_event, new) if event]
    if events:
        _record_consent(conn, organization_id, events)


def stored_messages(organization_id: UUID, ids: Iterable[UUID], conn=None) -> dict[UUID, dict]:
    """Return stored messages by id, each as list_messages shows it."""
    rows = db.fetch_all("get_messages", conn, organization_id=organization_id, ids=list(ids))
    return {row["id"]: row for row in rows}


def _is_same(given: dict, stored: dict) -> bool:
    gone = ("body", "media_urls") if stored["redacted_at"] else ()
    return all(value == stored[name] for name, value in given.items() if name not in gone)


def record_consent(organization_id: UUID, events: list[dict]) -> tuple[list[dict], list[bool]]:
    """Record consent events in any order: loaded RecordConsentSchemas, phone_number, captured_at.

    Returns what is then on record, a row for each pair of number and contact, and for each event
    whether it was news: later than what was on record of its kind.
    """
    with pool.transaction() as conn:
        return _record_consent(conn, organization_id, events)


def _record_consent(conn: psycopg.Connection, organization_id: UUID, events: list[dict]) -> tuple:
    params = {"organization_id": organization_id, "events": orjson.dumps(events).decode()}
    latest = {}
    for row in db.fetch_all("create_conversations", conn, **params):
        pair = row["phone_number_id"], row["contact_number"]
        latest[*pair, True], latest[*pair, False] = row["opted_in_at"], row["opted_out_at"]
    consents = db.fetch_all("record_consent", conn, **params, **db.counting(conn))
    return consents, [_is_news(event, latest) for event in events]


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
