-- All phone numbers of an organization, oldest first. An import reads them once and looks up each
-- row in memory.
SELECT
    id,
    number,
    created_at
FROM phone_numbers
WHERE organization_id = %(organization_id)s
ORDER BY created_at, id
