-- Creates a phone number, counts it, and returns the number's id; no row if the
-- organization has the number or the id already. The id may be given, to restore or to migrate.
WITH created AS (
    INSERT INTO phone_numbers (organization_id, id, number)
    VALUES (%(organization_id)s, coalesce(%(id)s::uuid, gen_random_uuid()), %(number)s)
    ON CONFLICT DO NOTHING
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
        1
    FROM created
    ON CONFLICT (organization_id, counted_id, shard) DO UPDATE
        SET
            change_count = counts.change_count + excluded.change_count,
            phone_number_count = counts.phone_number_count + excluded.phone_number_count
)

SELECT id
FROM created
