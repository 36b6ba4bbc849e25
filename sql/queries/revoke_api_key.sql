-- Revokes one key and returns what a key in its place needs, and for how long it would have lived
-- on. No row: it was revoked before, and keeps its first instant.
WITH clock AS (
    SELECT now() AS now
)

UPDATE api_keys
SET revoked_at = clock.now
FROM clock
WHERE
    api_keys.organization_id = %(organization_id)s
    AND api_keys.id = %(id)s
    AND api_keys.revoked_at IS NULL
RETURNING
    api_keys.label,
    api_keys.scopes,
    api_keys.expires_at - clock.now AS expires_in
