-- Locks those of some conversations whose last message is about to be redacted, in the order of
-- every writer, so that no two writers wait for each other in a circle.
-- The others are only read, because a lock writes to the page of its row.
SELECT id
FROM conversations
WHERE
    organization_id = %(organization_id)s
    AND id = any(%(conversation_ids)s::uuid[])
    AND last_message_id = any(%(ids)s::uuid[])
ORDER BY phone_number_id, contact_number
FOR NO KEY UPDATE
