"""The comparison behind check-conversations: every summary and count against the messages."""

from collections.abc import Iterator
from contextlib import closing
from heapq import merge
from itertools import groupby
from operator import itemgetter
from uuid import UUID

from conversations.database import pool, queries
from conversations.database.connection import Connection
from conversations.database.queries import Row
from schemas.fields import encode_base64url

# The counts of a phone number or of an organization, in the order of compare_counts.
COUNTS = (
    "opted_in_count",
    "other_count",
    "opted_in_record_count",
    "opted_out_record_count",
    "phone_number_count",
)
NO_MESSAGES: Row = {
    "message_count": 0,
    "last_message_at": None,
    "last_message_id": None,
    "last_message_direction": None,
    "last_message_preview": None,
    "last_message_body_redacted_at": None,
}
BY_ID = itemgetter("id")


def differing_summaries(organization_id: UUID) -> list[tuple[UUID, list[str]]]:
    """Return the ids of conversations whose summary is wrong, each with the wrong columns."""
    params = {"organization_id": organization_id, "ids": None}
    differing = []
    with (
        # One snapshot for both streams, so that messages that arrive meanwhile are no difference.
        pool.snapshot() as connection,
        closing(queries.stream("list_summaries", connection, **params)) as stored,
        closing(queries.stream("compute_summaries", connection, **params)) as computed,
    ):
        for id, rows in groupby(merge(stored, computed, key=BY_ID), BY_ID):
            one, *other = rows
            wrong = [name for name in one if other and one[name] != other[0][name]]
            if wrong or not other:
                differing.append((id, wrong or ["message_count"]))
    return differing


def repair_summary(organization_id: UUID, id: UUID) -> None:
    """Replace the summary of one conversation by the computed one, under its lock."""
    params = {"organization_id": organization_id, "id": id}
    with pool.transaction() as connection:
        queries.fetch_all("lock_conversation", connection, **params)
        computed = queries.fetch_one("compute_summaries", connection, **params, ids=[id])
        summary = params | NO_MESSAGES | (computed or {})
        queries.execute("repair_summary", connection, **summary)


def differing_counts(organization_id: UUID, connection: Connection | None = None) -> list[Row]:
    """Return both counts of each phone number, and the organization (nil), where they differ."""
    return queries.fetch_all("compare_counts", connection, organization_id=organization_id)


def repair_counts(organization_id: UUID) -> None:
    """Add to each wrong count what it lacks, while no other transaction counts."""
    with pool.transaction() as connection:
        # Every writer counts last: one that waits for this lock has committed nothing yet.
        connection.execute("LOCK TABLE conversation_counts IN EXCLUSIVE MODE")
        for row in differing_counts(organization_id, connection):
            lacks = {name: must - stored for name, stored, must in _compared_counts(row)}
            params = {"organization_id": organization_id, "counted_id": row["counted_id"]}
            queries.execute("repair_counts", connection, **params, **lacks)


def _compared_counts(row: Row) -> Iterator[tuple[str, int, int]]:
    """Return what a row of compare_counts says: each count, what is stored and what it must be."""
    return zip(COUNTS, row["stored_counts"], row["computed_counts"], strict=True)


def check(organization_id: UUID, repair: bool) -> Iterator[str]:
    """Yield a line for each difference in an organization, and repair it if asked to."""
    for id, columns in differing_summaries(organization_id):
        yield f"{organization_id}: conversation {encode_base64url(id.bytes)}: {', '.join(columns)}"
        if repair:
            repair_summary(organization_id, id)
    wrong_counts = differing_counts(organization_id)
    for row in wrong_counts:
        number = f"phone number {row['number'] or 'deleted'} ({row['counted_id']})"
        whose = number if row["counted_id"].int else "all phone numbers"
        counts = [
            f"{name} {stored}, not {must}"
            for name, stored, must in _compared_counts(row)
            if stored != must
        ]
        yield f"{organization_id}: {whose}: {', '.join(counts)}"
    if repair and wrong_counts:
        repair_counts(organization_id)
