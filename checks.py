"""The check behind check-conversations: every summary and count against what the messages say."""

from collections.abc import Iterator
from uuid import UUID

import psycopg

import db
import pool
from schemas.fields import encode_base64url

NO_MESSAGES = {
    "message_count": 0,
    "last_message_at": None,
    "last_message_id": None,
    "last_message_direction": None,
    "last_message_preview": None,
    "last_message_body_redacted_at": None,
}


def _stream(conn: psycopg.Connection, name: str, organization_id: UUID) -> Iterator[dict]:
    with conn.cursor(name) as cursor:
        cursor.itersize = 5000
        yield from cursor.execute(
            db.QUERIES[name], {"organization_id": organization_id, "ids": None}
        )


def _merge(
    left: Iterator[dict], right: Iterator[dict]
) -> Iterator[tuple[dict | None, dict | None]]:
    """Pair the rows of two streams sorted by id; a row without a twin pairs with None."""
    a, b = next(left, None), next(right, None)
    while a or b:
        if b is None or (a and a["id"] < b["id"]):
            yield a, None
            a = next(left, None)
        elif a is None or b["id"] < a["id"]:
            yield None, b
            b = next(right, None)
        else:
            yield a, b
            a, b = next(left, None), next(right, None)


def differing_conversations(organization_id: UUID) -> list[tuple[UUID, list[str]]]:
    """Return the ids of conversations whose summary is wrong, each with the columns that are."""
    with pool.transaction() as conn:
        # One snapshot for both streams, so that live traffic is no difference.
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        stored = _stream(conn, "list_summaries", organization_id)
        rebuilt = _stream(conn, "rebuild_conversations", organization_id)
        return [
            ((is_ or must)["id"], _differences(is_, must))
            for is_, must in _merge(stored, rebuilt)
            if is_ != must
        ]


def _differences(is_: dict | None, must: dict | None) -> list[str]:
    if is_ is None or must is None:
        return ["message_count"]
    return [column for column in must if is_[column] != must[column]]


def repair_conversation(organization_id: UUID, id: UUID) -> None:
    """Rebuild one summary under its lock."""
    with pool.transaction() as conn:
        db.execute("lock_conversations", conn, organization_id=organization_id, ids=[id])
        rebuilt = db.fetch_one(
            "rebuild_conversations", conn, organization_id=organization_id, ids=[id]
        )
        summary = {"id": id, **NO_MESSAGES, **(rebuilt or {})}
        db.execute(
            "repair_conversation",
            conn,
            organization_id=organization_id,
            **summary,
            **db.counting(conn),
        )


def differing_counts(organization_id: UUID, conn: psycopg.Connection | None = None) -> list[dict]:
    """Return the phone numbers whose counts are wrong: what they must be, and what is stored."""
    return db.fetch_all("rebuild_counts", conn, organization_id=organization_id)


def repair_counts(organization_id: UUID) -> None:
    """Add to each wrong count what it lacks, while nobody else counts."""
    with pool.transaction() as conn:
        # Writers count last: who waits here has committed nothing, who is past it everything.
        conn.execute("LOCK TABLE conversation_counts IN EXCLUSIVE MODE")
        for row in differing_counts(organization_id, conn):
            db.execute(
                "repair_counts",
                conn,
                organization_id=organization_id,
                phone_number_id=row["phone_number_id"],
                **db.counting(conn),
                opted_in_count=row["opted_in_count"] - row["stored_opted_in_count"],
                other_count=row["other_count"] - row["stored_other_count"],
            )


def run(organization_id: UUID, repair: bool) -> Iterator[str]:
    """Yield a line for each difference in an organization, mending it if asked to."""
    for id, columns in differing_conversations(organization_id):
        yield f"{organization_id}: conversation {encode_base64url(id.bytes)}: {', '.join(columns)}"
        if repair:
            repair_conversation(organization_id, id)
    for row in differing_counts(organization_id):
        stored = row["stored_opted_in_count"], row["stored_other_count"]
        rebuilt = row["opted_in_count"], row["other_count"]
        number = f"phone number {row['phone_number_id']}"
        yield f"{organization_id}: {number}: counts {stored}, not {rebuilt}"
    if repair:
        repair_counts(organization_id)
