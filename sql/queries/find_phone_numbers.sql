-- Those of the organization's numbers that are named, by the number or by its id.
SELECT
    id,
    number
FROM phone_numbers
WHERE
    organization_id = %(organization_id)s
    AND (number = any(%(numbers)s::text[]) OR id = any(%(ids)s::uuid[]))
