-- The keys that a display prefix or an id names, in any organization: the operator revokes by what
-- a leak shows.
SELECT
    organization_id,
    id,
    prefix
FROM api_keys
WHERE
    prefix = %(prefix_or_id)s
    OR id::text = lower(%(prefix_or_id)s)
