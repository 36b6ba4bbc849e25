-- Sets for how many days an organization keeps messages; NULL is for ever. Notes when, because
-- redact-messages is not overdue before it had the time to run.
WITH clock AS (
    SELECT statement_timestamp() AS now
)

UPDATE organizations
SET
    message_retention_days = %(message_retention_days)s::integer,
    retention_set_at = clock.now
FROM clock
WHERE organizations.id = %(organization_id)s
