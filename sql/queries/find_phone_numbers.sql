-- Those phone numbers of an organization that are named by number or by id. A request looks up the
-- numbers of its body in this way.
-- Each is looked up by itself, because a plan for a list reads all numbers of the organization.
WITH found AS MATERIALIZED (
    SELECT
        (
            SELECT id
            FROM phone_numbers
            WHERE
                organization_id = %(organization_id)s
                AND number = named.number
        ) AS id,
        named.number
    FROM unnest(%(numbers)s::text[]) AS named (number)
    UNION ALL
    SELECT
        named.id,
        (
            SELECT number
            FROM phone_numbers
            WHERE
                organization_id = %(organization_id)s
                AND id = named.id
        ) AS number
    FROM unnest(%(ids)s::uuid[]) AS named (id)
)

SELECT
    id,
    number
FROM found
WHERE id IS NOT NULL AND number IS NOT NULL
