-- Every organization, oldest first, under the name that all other tables know its id by.
SELECT
    id AS organization_id,
    name,
    message_retention_days,
    created_at,
    last_sweep_at
FROM organizations
ORDER BY created_at, id
