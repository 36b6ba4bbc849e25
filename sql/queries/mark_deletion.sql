-- Notes that the deletion of an organization has begun; no row is touched if it was noted before.
-- check-conversations reports an organization whose deletion was interrupted, and compares nothing.
WITH clock AS (
    SELECT statement_timestamp() AS now
)

UPDATE organizations
SET deletion_started_at = clock.now
FROM clock
WHERE
    organizations.id = %(organization_id)s
    AND organizations.deletion_started_at IS NULL
