"""Organizations and their phone numbers."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict, cast
from uuid import UUID

from conversations.database import pool, queries

NOT_YOURS = "is not one of your phone numbers"
# A batch is one transaction, small enough that no lock is held for long.
DELETION_BATCH = 10_000
# In this order: the keys first, so that nothing more arrives, then what refers to others.
DELETIONS = (
    "delete_api_keys",
    "mark_deletion",
    "delete_messages",
    "delete_conversations",
    "delete_conversation_counts",
    "delete_phone_numbers",
    "delete_organization",
)


class NumberTaken(Exception):
    """The number has another id, or the id belongs to another number."""


class Organization(TypedDict):
    """A row of list_organizations; without `message_retention_days` messages are kept for ever."""

    organization_id: UUID
    name: str
    message_retention_days: int | None
    created_at: datetime
    last_redaction_at: datetime | None
    deletion_started_at: datetime | None


def create_organization(
    name: str, message_retention_days: int | None = None, id: UUID | None = None
) -> UUID:
    """Create an organization and return its id; an id that exists already is left as it is."""
    params = {"name": name, "message_retention_days": message_retention_days}
    row = queries.fetch_one("create_organization", organization_id=id, **params)
    return cast(UUID, row["id"] if row else id)


def list_organizations() -> list[Organization]:
    """Return all organizations, oldest first."""
    return cast(list[Organization], queries.fetch_all("list_organizations"))


def get_id_namespace(organization_id: UUID) -> UUID:
    """Return the secret namespace of the ids that are computed from a message's content."""
    row = queries.fetch_row("get_id_namespace", organization_id=organization_id)
    return cast(UUID, row["id_namespace"])


def set_retention(organization_id: UUID, days: int | None) -> None:
    """Set for how many days an organization keeps messages; None is for ever.

    It applies from the next retention run on. What was redacted stays redacted.
    """
    queries.execute("set_retention", organization_id=organization_id, message_retention_days=days)


def delete_organization(organization_id: UUID) -> None:
    """Delete an organization and all that it owns; after an interruption, what is left.

    Raises pool.Unavailable if something arrives meanwhile: then delete it again.
    """
    params = {"organization_id": organization_id, "limit": DELETION_BATCH}
    for name in DELETIONS:
        deleted = True
        while deleted:
            with pool.transaction() as connection:
                queries.execute("lock_organization", connection, **params)
                deleted = queries.execute(name, connection, **params) > 0


def create_phone_number(organization_id: UUID, number: str, id: UUID | None = None) -> UUID:
    """Give an organization a phone number and return the number's id, old or new.

    Raises NumberTaken if `id` is given and the number has another one, or another number has it.
    """
    params = {"organization_id": organization_id, "id": id, "number": number}
    queries.execute("create_phone_number", **params)
    numbers = find_phone_numbers(organization_id, numbers=[number], ids=[id] if id else [])
    stored = numbers.get(number)
    if stored is None:
        raise NumberTaken(f"{id} is the id of another number, {next(iter(numbers))}")
    if id not in (None, stored):
        raise NumberTaken(f"{number} has the id {stored} already")
    return stored


def delete_phone_number(organization_id: UUID, number: str) -> bool:
    """Delete a phone number and return True; False if it has conversations or consent."""
    params = {"organization_id": organization_id, "number": number}
    return queries.fetch_one("delete_phone_number", **params) is not None


def list_phone_numbers(organization_id: UUID) -> dict[str, UUID]:
    """Return the ids of an organization's phone numbers, by number."""
    rows = queries.fetch_all("get_phone_numbers", organization_id=organization_id)
    return {row["number"]: row["id"] for row in rows}


def find_phone_numbers(
    organization_id: UUID, *, numbers: Sequence[str] = (), ids: Sequence[UUID] = ()
) -> dict[str, UUID]:
    """Return the ids, by number, of those phone numbers that are named by number or by id."""
    params = {"organization_id": organization_id, "numbers": list(numbers), "ids": list(ids)}
    rows = queries.fetch_all("find_phone_numbers", **params)
    return {row["number"]: row["id"] for row in rows}
