-- The key with this hash if it is neither revoked nor expired: the one query that starts without an
-- organization_id. change_count is read only for a conditional request, which it can answer alone;
-- is_stale asks for touch_api_key.
SELECT
    api_keys.organization_id,
    api_keys.id,
    api_keys.prefix,
    api_keys.scopes,
    coalesce(api_keys.last_used_at < now() - interval '1 minute', TRUE) AS is_stale,
    CASE WHEN %(conditional)s::boolean THEN (
        SELECT coalesce(sum(counts.change_count), 0)::bigint
        FROM conversation_counts AS counts
        WHERE counts.organization_id = api_keys.organization_id
    ) END AS change_count
FROM api_keys
WHERE
    api_keys.key_hash = %(key_hash)s
    AND api_keys.revoked_at IS NULL
    AND (api_keys.expires_at IS NULL OR api_keys.expires_at > now())
