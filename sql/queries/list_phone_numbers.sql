-- An organization's phone numbers. An import reads them once and looks up each row in memory.
SELECT
    id,
    number
FROM phone_numbers
WHERE organization_id = %(organization_id)s
