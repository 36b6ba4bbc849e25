-- Notes that a key was used, at most once a minute, so that requests with the same key do not wait
-- for each other.
UPDATE api_keys
SET last_used_at = now()
WHERE
    organization_id = %(organization_id)s
    AND id = %(id)s
    AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
