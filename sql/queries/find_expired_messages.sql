-- The oldest messages past retention that can still be read. A message that another sweep has in
-- hand is skipped.
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
