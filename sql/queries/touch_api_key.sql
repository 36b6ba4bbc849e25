-- Notes that a key was used, at most once a minute, so that requests with the same key do not wait
-- for each other.
WITH clock AS (
    SELECT statement_timestamp() AS now
)

UPDATE api_keys
SET last_used_at = clock.now
FROM clock
WHERE
    api_keys.organization_id = %(organization_id)s
    AND api_keys.id = %(id)s
    AND (
        api_keys.last_used_at IS NULL
        OR api_keys.last_used_at < clock.now - interval '1 minute'
    )
