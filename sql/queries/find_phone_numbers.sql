-- Those phone numbers of an organization that are named by number or by id. A request looks up the
-- numbers of its body in this way.
SELECT
    id,
    number
FROM phone_numbers
WHERE
    organization_id = %(organization_id)s
    AND (number = any(%(numbers)s::text[]) OR id = any(%(ids)s::uuid[]))
