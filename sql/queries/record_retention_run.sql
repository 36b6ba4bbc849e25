-- Notes that redact-messages went through an organization. /readyz tells whether the last time
-- was too long ago.
WITH clock AS (
    SELECT statement_timestamp() AS now
)

UPDATE organizations
SET last_redaction_at = clock.now
FROM clock
WHERE organizations.id = %(organization_id)s
