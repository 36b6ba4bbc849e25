-- Locks and returns the first messages of a conversation, from an instant on, that can still be
-- read. An erasure goes on from the instant at which its last batch ended, so that no batch reads
-- what those before it have redacted.
-- Unlike lock_expired_messages it waits for messages that another transaction has locked, because
-- none may be left when it returns nothing.
SELECT
    id,
    conversation_id,
    created_at
FROM messages
WHERE
    organization_id = %(organization_id)s
    AND conversation_id = %(conversation_id)s
    AND created_at >= coalesce(%(start_at)s::timestamptz, '-infinity')
    AND (body IS NOT NULL OR media_urls <> '{}')
ORDER BY created_at, id
LIMIT %(limit)s
FOR UPDATE
