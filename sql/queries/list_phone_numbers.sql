-- The organization's numbers, as create_messages needs them: an import reads them once.
SELECT
    id,
    number
FROM phone_numbers
WHERE
    organization_id = %(organization_id)s
    AND (%(numbers)s::text[] IS NULL OR number = any(%(numbers)s::text[]))
    AND (%(ids)s::uuid[] IS NULL OR id = any(%(ids)s::uuid[]))
