-- Locks a conversation whose summary is to be repaired, and its last message before it, in the
-- order of every writer: a redaction that has removed the text of that message but not committed
-- yet is waited for, so that the repair does not copy the text.
WITH last_message AS (
    SELECT id
    FROM messages
    WHERE
        organization_id = %(organization_id)s
        AND conversation_id = %(id)s
    ORDER BY created_at DESC, id DESC
    LIMIT 1
    FOR SHARE
)

SELECT conversations.id
FROM conversations
LEFT JOIN last_message ON TRUE
WHERE
    conversations.organization_id = %(organization_id)s
    AND conversations.id = %(id)s
FOR NO KEY UPDATE OF conversations
