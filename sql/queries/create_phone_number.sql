-- Creates a phone number and returns its id; no row if the organization has the number or the id
-- already. The id may be given, to restore or to migrate.
INSERT INTO phone_numbers (organization_id, id, number)
VALUES (%(organization_id)s, coalesce(%(id)s::uuid, gen_random_uuid()), %(number)s)
ON CONFLICT DO NOTHING
RETURNING id
