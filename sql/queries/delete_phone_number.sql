-- Deletes a phone number that has neither conversations nor consent, counts it, and returns
-- the number's id. No row: there is no such number, or it is in use.
WITH deleted AS (
    DELETE FROM phone_numbers
    WHERE
        organization_id = %(organization_id)s
        AND number = %(number)s
        AND NOT EXISTS (
            SELECT FROM conversations
            WHERE
                conversations.organization_id = %(organization_id)s
                AND conversations.phone_number_id = phone_numbers.id
        )
    RETURNING id
),

counted AS (
    INSERT INTO conversation_counts AS counts (
        organization_id,
        counted_id,
        shard,
        opted_in_count,
        other_count,
        change_count,
        phone_number_count
    )
    SELECT
        %(organization_id)s,
        '00000000-0000-0000-0000-000000000000',
        %(shard)s,
        0,
        0,
        %(change_step)s,
        -1
    FROM deleted
    ON CONFLICT (organization_id, counted_id, shard) DO UPDATE
        SET
            change_count = counts.change_count + excluded.change_count,
            phone_number_count = counts.phone_number_count + excluded.phone_number_count
)

SELECT id
FROM deleted
