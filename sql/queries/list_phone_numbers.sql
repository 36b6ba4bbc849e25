-- All numbers of the organization: an import reads them once.
SELECT
    id,
    number
FROM phone_numbers
WHERE organization_id = %(organization_id)s
