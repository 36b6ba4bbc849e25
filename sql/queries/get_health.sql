-- Whether retention is kept up, over all organizations (each counts by its organization_id, none is
-- named).
SELECT
    max(last_sweep_at) AS last_sweep_at,
    coalesce(bool_or(coalesce(last_sweep_at, created_at) < now() - interval '26 hours'), FALSE)
        AS sweep_is_overdue
FROM organizations
WHERE message_retention_days IS NOT NULL
