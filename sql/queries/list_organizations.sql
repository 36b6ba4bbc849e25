-- All organizations, oldest first. The id is named organization_id, as in every other table.
SELECT
    id AS organization_id,
    name,
    message_retention_days,
    created_at,
    last_redaction_at,
    deletion_started_at
FROM organizations
ORDER BY created_at, id
