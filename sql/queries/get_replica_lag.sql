-- By how many bytes of write-ahead log the server is behind a position of its primary. /readyz
-- reports it for the replica.
SELECT
    greatest(
        pg_wal_lsn_diff(
            %(wal_position)s,
            CASE
                WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                ELSE pg_current_wal_lsn()
            END
        ),
        0
    )::bigint AS lag_bytes
