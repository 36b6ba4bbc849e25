-- What opens anything: keys that are neither revoked nor expired. The rule is here alone, because
-- get_api_key and the lists, which check the key in the statement that reads the page, share it.
CREATE VIEW live_api_keys AS
SELECT
    organization_id,
    id,
    key_hash,
    prefix,
    scopes,
    -- Asks for touch_api_key.
    coalesce(last_used_at < now() - interval '1 minute', TRUE) AS is_stale
FROM api_keys
WHERE
    revoked_at IS NULL
    AND (expires_at IS NULL OR expires_at > now());
