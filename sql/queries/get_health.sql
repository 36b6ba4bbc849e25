-- When retention was last enforced, whether that is too long ago (each organization_id counts), and
-- how far the write-ahead log has come: the position to hold a replica against.
SELECT
    max(last_sweep_at) AS last_sweep_at,
    coalesce(
        bool_or(coalesce(last_sweep_at, created_at) < now() - interval '26 hours'), FALSE
    ) AS sweep_is_overdue,
    pg_current_wal_lsn()::text AS wal_position
FROM organizations
WHERE message_retention_days IS NOT NULL
