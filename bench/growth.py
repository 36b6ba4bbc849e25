"""What an inbox may hold more of than conversations, each added to a copy of one inbox."""

import psycopg

from bench.database import ORGANIZATION_ID

# By axis: what there is more of in the larger inbox, and the statements that add it.
AXES = {
    "10,000 phone numbers": """
        INSERT INTO phone_numbers (organization_id, number)
        SELECT %(organization_id)s, '+1999' || 1000000 + n FROM generate_series(1, 10000) AS n;

        INSERT INTO conversation_counts
        SELECT organization_id, id, shard, 0, 0, 0, 0, 0
        FROM phone_numbers, generate_series(0, 7) AS shard
        ON CONFLICT DO NOTHING;

        UPDATE conversation_counts SET phone_number_count = phone_number_count + 10000
        WHERE (organization_id, counted_id, shard) IN (
            SELECT organization_id, counted_id, shard FROM conversation_counts
            WHERE counted_id = '00000000-0000-0000-0000-000000000000' LIMIT 1
        )
    """,
    "200,000 messages in each long conversation": """
        INSERT INTO messages (
            organization_id, id, conversation_id, direction, channel, body, media_urls, has_text,
            created_at
        )
        SELECT
            organization_id, gen_random_uuid(), id, 'inbound', 'sms', 'hello', '{}', TRUE,
            last_message_at - n * interval '1 second'
        FROM
            (
                SELECT organization_id, id, last_message_at FROM conversations
                ORDER BY message_count DESC, id LIMIT 5
            ) AS longest,
            generate_series(1, 200000) AS n;

        UPDATE conversations SET message_count = message_count + 200000
        WHERE id IN (SELECT id FROM conversations ORDER BY message_count DESC, id LIMIT 5)
    """,
    "100,000 organizations": """
        INSERT INTO organizations (name, message_retention_days)
        SELECT 'Another', 90 FROM generate_series(1, 100000) AS n
    """,
    "100,000 consent records without messages": """
        INSERT INTO conversations (
            organization_id, id, phone_number_id, phone_number, contact_number,
            opted_in_at, consent_updated_at
        )
        SELECT
            organization_id, conversation_id(id, '+1888' || 1000000 + n), id, number,
            '+1888' || 1000000 + n, now(), now() - n * interval '1 second'
        FROM
            (SELECT * FROM phone_numbers ORDER BY number LIMIT 1) AS numbers,
            generate_series(1, 100000) AS n
    """,
}


def grow(url: str, axis: str) -> None:
    """Add what an axis has more of to the inbox of a database."""
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as conn:
        for statement in AXES[axis].split(";\n"):
            conn.execute(statement, {"organization_id": ORGANIZATION_ID})
        conn.execute("VACUUM ANALYZE")
