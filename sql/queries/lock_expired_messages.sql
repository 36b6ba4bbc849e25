-- Locks and returns the oldest messages past retention, from an instant on, that can still be read.
-- A run goes on from the instant at which its last batch ended. Messages that another transaction
-- has locked are left to it.
SELECT
    id,
    conversation_id,
    created_at
FROM messages
WHERE
    organization_id = %(organization_id)s
    AND (body IS NOT NULL OR media_urls <> '{}')
    AND created_at >= coalesce(%(start_at)s::timestamptz, '-infinity')
    AND created_at < %(readable_from)s::timestamptz
ORDER BY created_at
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
