-- The keys with this display prefix or this id, of any organization. An operator revokes a key by
-- what a log line or a leak shows of it.
SELECT
    organization_id,
    id,
    prefix
FROM api_keys
WHERE
    prefix = %(prefix_or_id)s
    OR id::text = lower(%(prefix_or_id)s)
