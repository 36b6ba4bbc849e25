-- Revokes one key. A key that was revoked before keeps its first instant.
UPDATE api_keys
SET revoked_at = now()
WHERE
    organization_id = %(organization_id)s
    AND id = %(id)s
    AND revoked_at IS NULL
