-- Deletes some messages of an organization, in the order of their ids. delete-organization repeats
-- it until none is left, because one transaction for all of them would last too long.
DELETE FROM messages
WHERE
    organization_id = %(organization_id)s
    AND id = any(array(
        SELECT batch.id
        FROM messages AS batch
        WHERE batch.organization_id = %(organization_id)s
        ORDER BY batch.id
        LIMIT %(limit)s
    ))
