-- Locks and returns the oldest messages past retention that can still be read. Messages that
-- another retention run has locked are left to it.
SELECT
    id,
    conversation_id
FROM messages
WHERE
    organization_id = %(organization_id)s
    AND (body IS NOT NULL OR media_urls <> '{}')
    AND created_at < %(readable_from)s::timestamptz
ORDER BY created_at
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
