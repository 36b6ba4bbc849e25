-- Deletes some conversations of an organization, whose messages are gone, in the order of their
-- ids. delete-organization repeats it until none is left.
DELETE FROM conversations
WHERE
    organization_id = %(organization_id)s
    AND id = any(array(
        SELECT batch.id
        FROM conversations AS batch
        WHERE batch.organization_id = %(organization_id)s
        ORDER BY batch.id
        LIMIT %(limit)s
    ))
