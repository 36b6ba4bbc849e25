-- The summary of every conversation as it is stored, in the order of compute_summaries, which it is
-- compared with.
SELECT
    id,
    last_message_at,
    last_message_id,
    last_message_direction,
    last_message_preview,
    last_message_body_redacted_at,
    message_count
FROM conversations
WHERE
    organization_id = %(organization_id)s
    AND message_count > 0
ORDER BY id
