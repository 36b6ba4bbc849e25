-- The summary of every conversation, computed from its messages: what record_messages and
-- redact_messages must keep it equal to. check-conversations compares the two.
SELECT DISTINCT ON (conversation_id)
    conversation_id AS id,
    created_at AS last_message_at,
    id AS last_message_id,
    direction AS last_message_direction,
    preview(body) AS last_message_preview,
    CASE WHEN has_text THEN redacted_at END AS last_message_body_redacted_at,
    count(*) OVER (PARTITION BY conversation_id) AS message_count
FROM messages
WHERE
    organization_id = %(organization_id)s
    AND (%(ids)s::uuid[] IS NULL OR conversation_id = any(%(ids)s::uuid[]))
ORDER BY conversation_id ASC, created_at DESC, messages.id DESC
