-- Revokes one key. A key that was revoked before keeps its first instant.
WITH clock AS (
    SELECT statement_timestamp() AS now
)

UPDATE api_keys
SET revoked_at = clock.now
FROM clock
WHERE
    api_keys.organization_id = %(organization_id)s
    AND api_keys.id = %(id)s
    AND api_keys.revoked_at IS NULL
