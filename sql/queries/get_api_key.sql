-- The key with this hash if it is live: with the lists, the one query that starts without an
-- organization_id. change_count is read only for a conditional request, which it can answer alone.
SELECT
    live_api_keys.organization_id,
    live_api_keys.id,
    live_api_keys.prefix,
    live_api_keys.scopes,
    live_api_keys.is_stale,
    CASE WHEN %(conditional)s::boolean THEN (
        SELECT coalesce(sum(counts.change_count), 0)::bigint
        FROM conversation_counts AS counts
        WHERE counts.organization_id = live_api_keys.organization_id
    ) END AS change_count
FROM live_api_keys
WHERE live_api_keys.key_hash = %(key_hash)s
