"""Consent: events that opt a contact in or out, and the record that they leave."""

from collections.abc import Sequence
from datetime import datetime
from typing import NotRequired, TypedDict, cast
from uuid import UUID

import orjson
from orjson import Fragment

from conversations.database import pool, queries
from conversations.database.connection import Connection
from conversations.database.queries import Row


class ConsentEvent(TypedDict):
    """An opt-in or an opt-out of a contact for one phone number; now, unless it says when."""

    phone_number_id: UUID
    phone_number: str
    contact_number: str
    opted_in: bool
    captured_at: NotRequired[datetime]


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
    organization_id: UUID, events: Sequence[ConsentEvent | Fragment]
) -> tuple[list[Consent], list[bool]]:
    """Record consent events, given as they are or as JSON, in any order.

    Returns for each event what is then on record, and whether the event is news: later than all of
    its kind before it. Raises pool.Unavailable.
    """
    with pool.transaction() as connection:
        rows = record_consent_events(connection, organization_id, events)
    news = [row.pop("is_news") for row in rows]
    return cast(list[Consent], rows), news


def record_consent_events(
    connection: Connection, organization_id: UUID, events: Sequence[ConsentEvent | Fragment | Row]
) -> list[Row]:
    """Record events in a transaction that has begun, and return the rows of record_consent.sql."""
    params = {"organization_id": organization_id, "events": orjson.dumps(events).decode()}
    queries.execute("upsert_conversations", connection, **params)
    return queries.fetch_all("record_consent", connection, **params)
