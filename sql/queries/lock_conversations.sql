-- Locks conversations in the one order that every writer keeps, so that no two wait for each other
-- in a circle.
SELECT id
FROM conversations
WHERE
    organization_id = %(organization_id)s
    AND id = any(%(ids)s::uuid[])
ORDER BY phone_number_id, contact_number
FOR NO KEY UPDATE
