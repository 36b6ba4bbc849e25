-- Creates the temporary table that holds the rows of an import until they are recorded. PostgreSQL
-- drops the table with the transaction, and with the session of a process that was killed.
CREATE TEMPORARY TABLE staged_rows (
    line bigint NOT NULL,
    raw bytea NOT NULL,
    message_id uuid,
    conversation_hash bigint NOT NULL,
    content bytea NOT NULL
)
ON COMMIT DROP
