-- Locks conversations in the order of every writer, so that no two writers wait for each other in a
-- circle, and returns their ids.
SELECT id
FROM conversations
WHERE
    organization_id = %(organization_id)s
    AND id = any(%(ids)s::uuid[])
ORDER BY phone_number_id, contact_number
FOR NO KEY UPDATE
