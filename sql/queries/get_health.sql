-- When redact-messages last ran, whether an organization (organization_id) has waited too long for
-- it, and the position of the write-ahead log, which tells how far a replica is behind.
SELECT
    max(last_redaction_at) AS last_redaction_at,
    coalesce(
        bool_or(
            greatest(coalesce(last_redaction_at, created_at), retention_set_at)
            < now() - interval '26 hours'
        ),
        FALSE
    ) AS redaction_is_overdue,
    CASE
        WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
        ELSE pg_current_wal_lsn()
    END::text AS wal_position
FROM organizations
WHERE message_retention_days IS NOT NULL
