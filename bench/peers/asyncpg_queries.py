"""The statements of the peers on asyncpg, and the page that they make."""

from uuid import UUID

import asyncpg
from common import decode_cursor, encode_cursor

KEY = """
SELECT organization_id, scopes
FROM api_keys
WHERE key_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
"""

COLUMNS = """
    rtrim(translate(encode(uuid_send(id), 'base64'), '+/', '-_'), '=') AS id,
    id AS raw_id,
    phone_number_id::text,
    phone_number,
    contact_number,
    last_message_at,
    last_message_direction,
    CASE
        WHEN last_message_body_redacted_at IS NOT NULL THEN '[redacted]'
        ELSE coalesce(last_message_preview, '[media]')
    END AS last_message_preview,
    last_message_body_redacted_at,
    message_count,
    opted_in,
    opted_in_at,
    opted_out_at
"""

TOTAL = """
SELECT sum(opted_in_count + other_count)::bigint FROM conversation_counts
WHERE
    organization_id = $1
    AND counted_id = coalesce($2::uuid, '00000000-0000-0000-0000-000000000000')
"""


def page_query(
    organization_id: UUID,
    limit: int,
    cursor: str | None,
    phone_number_id: UUID | None,
    contact_number: str | None,
) -> tuple[str, list]:
    """Return the statement of a page, with the conditions that are given, and its values."""
    conditions, values = ["organization_id = $1", "message_count > 0"], [organization_id]
    if cursor:
        values += decode_cursor(cursor)
        conditions.append("(last_message_at, id) < ($2, $3)")
    if phone_number_id:
        values.append(phone_number_id)
        conditions.append(f"phone_number_id = ${len(values)}")
    if contact_number:
        values.append(contact_number)
        conditions.append(f"contact_number = ${len(values)}")
    query = (
        f"SELECT {COLUMNS} FROM conversations WHERE {' AND '.join(conditions)}"
        f" ORDER BY last_message_at DESC, id DESC LIMIT ${len(values) + 1}"
    )
    return query, [*values, limit + 1]


def to_page(rows: list[asyncpg.Record], total: int, limit: int) -> dict:
    """Return the envelope of a page."""
    next_cursor = None
    if len(rows) > limit:
        last = rows[limit - 1]
        next_cursor = encode_cursor(last["last_message_at"], last["raw_id"])
    return {
        "success": True,
        "data": [to_dict(row) for row in rows[:limit]],
        "meta": {"total": total, "limit": limit, "offset": 0, "next_cursor": next_cursor},
    }


def to_dict(row: asyncpg.Record) -> dict:
    conversation = dict(row)
    del conversation["raw_id"]
    opted_in, opted_in_at = conversation.pop("opted_in"), conversation.pop("opted_in_at")
    opted_out_at = conversation.pop("opted_out_at")
    conversation["consent"] = None
    if opted_in_at or opted_out_at:
        conversation["consent"] = {"opted_in": opted_in, "opted_in_at": opted_in_at}
    return conversation
