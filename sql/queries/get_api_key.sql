-- The key with this hash, unless it is revoked or expired. It is the one query of a request that
-- starts without an organization, because the key is what names the organization.
-- Grouping by the primary key changes nothing, but fails while there is no primary key: a restore
-- makes it after it has loaded all rows, and until then a key that is missing may still come.
SELECT
    organization_id,
    id,
    prefix,
    scopes,
    -- Whether touch_api_key would note its use.
    coalesce(last_used_at < now() - interval '1 minute', TRUE) AS is_stale
FROM api_keys
WHERE
    key_hash = %(key_hash)s
    AND revoked_at IS NULL
    AND (expires_at IS NULL OR expires_at > now())
GROUP BY organization_id, id
