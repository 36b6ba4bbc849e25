-- An organization's keys, oldest first. Neither the key nor its hash is among the columns.
SELECT
    id,
    prefix,
    label,
    scopes,
    created_at,
    expires_at,
    revoked_at,
    last_used_at
FROM api_keys
WHERE organization_id = %(organization_id)s
ORDER BY created_at, id
