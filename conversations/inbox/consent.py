"""Consent: events that opt a contact in or out, and the record that they leave."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict, cast
from uuid import UUID

import orjson
from orjson import Fragment

from conversations.database import pool, queries
from conversations.database.connection import Connection
from conversations.database.queries import Row


class ConsentEvent(TypedDict):
    """An opt-in or an opt-out of a contact for one phone number."""

    phone_number_id: UUID
    phone_number: str
    contact_number: str
    opted_in: bool
    captured_at: datetime


class Consent(TypedDict):
    """What is on record for a phone number and a contact."""

    phone_number_id: UUID
    phone_number: str
    contact_number: str
    opted_in: bool
    opted_in_at: datetime | None
    opted_out_at: datetime | None
    updated_at: datetime


def record_consent(
    organization_id: UUID, events: Sequence[ConsentEvent]
) -> tuple[list[Consent], list[bool]]:
    """Record consent events, in any order.

    Returns what is then on record, one row for each phone number and contact, and for each event
    whether it is news: later than the latest of its kind before. Raises pool.Unavailable.
    """
    with pool.transaction() as connection:
        before, consents = record_consent_events(connection, organization_id, events)
    latest: dict[tuple[UUID, str, bool], datetime | None] = {}
    for row in before:
        pair = row["phone_number_id"], row["contact_number"]
        latest[*pair, True], latest[*pair, False] = row["opted_in_at"], row["opted_out_at"]
    return consents, [_is_news(event, latest) for event in events]


def record_consent_events(
    connection: Connection, organization_id: UUID, events: Sequence[ConsentEvent] | Fragment
) -> tuple[list[Row], list[Consent]]:
    """Record events, given as they are or as JSON, in a transaction that has begun.

    Returns what was on record before and what is now.
    """
    params = {"organization_id": organization_id, "events": orjson.dumps(events).decode()}
    before = queries.fetch_all("upsert_conversations", connection, **params)
    after = queries.fetch_all(
        "record_consent", connection, **params, **queries.count_params(connection)
    )
    return before, cast(list[Consent], after)


def _is_news(event: ConsentEvent, latest: dict[tuple[UUID, str, bool], datetime | None]) -> bool:
    kind = event["phone_number_id"], event["contact_number"], event["opted_in"]
    known_at = latest[kind]
    if known_at and event["captured_at"] <= known_at:
        return False
    latest[kind] = event["captured_at"]
    return True
