-- Replaces one stored summary, which lock_conversation has locked, by the computed one, and counts
-- the change.
WITH repaired AS (
    UPDATE conversations
    SET
        last_message_at = %(last_message_at)s,
        last_message_id = %(last_message_id)s,
        last_message_direction = %(last_message_direction)s,
        last_message_preview = %(last_message_preview)s,
        last_message_body_redacted_at = %(last_message_body_redacted_at)s,
        message_count = %(message_count)s
    WHERE
        organization_id = %(organization_id)s
        AND id = %(id)s
    RETURNING id
)

INSERT INTO conversation_counts AS counts (
    organization_id, counted_id, shard, opted_in_count, other_count, change_count
)
SELECT
    %(organization_id)s,
    '00000000-0000-0000-0000-000000000000',
    %(shard)s,
    0,
    0,
    %(change_step)s
FROM repaired
ON CONFLICT (organization_id, counted_id, shard) DO UPDATE
    SET change_count = counts.change_count + excluded.change_count
