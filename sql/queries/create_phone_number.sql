-- A new number's id; nothing if the number or the given id is taken in this organization.
INSERT INTO phone_numbers (organization_id, id, number)
VALUES (%(organization_id)s, coalesce(%(id)s::uuid, gen_random_uuid()), %(number)s)
ON CONFLICT DO NOTHING
RETURNING id
