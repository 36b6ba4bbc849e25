-- The keys with this display prefix, this id or this hash, each with its organization. An operator
-- names a key by what a log line or a leak shows of it.
SELECT
    api_keys.organization_id,
    api_keys.id,
    organizations.name
FROM api_keys
INNER JOIN organizations ON api_keys.organization_id = organizations.id
WHERE
    api_keys.prefix = %(prefix_or_id)s
    OR api_keys.id::text = lower(%(prefix_or_id)s)
    OR api_keys.key_hash = %(key_hash)s
