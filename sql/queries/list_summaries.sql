-- Every conversation's summary as it is stored, to be held against rebuild_conversations.
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
