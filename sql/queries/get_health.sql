-- The state of the deployment: when redact-messages last ran, whether an organization has waited
-- too long for it, PostgreSQL's clock, and the position of the write-ahead log, which tells how far
-- a replica is behind. Each value is the first of an index, so it costs the same with any number of
-- organizations (each organization_id).
SELECT
    (
        SELECT max(last_redaction_at)
        FROM organizations
        WHERE message_retention_days IS NOT NULL
    ) AS last_redaction_at,
    coalesce(
        (
            SELECT min(greatest(coalesce(last_redaction_at, created_at), retention_set_at))
            FROM organizations
            WHERE message_retention_days IS NOT NULL
        ) < now() - interval '26 hours',
        FALSE
    ) AS redaction_is_overdue,
    clock_timestamp() AS now,
    CASE
        WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
        ELSE pg_current_wal_lsn()
    END::text AS wal_position
