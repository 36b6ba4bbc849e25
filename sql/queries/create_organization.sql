-- Creates an organization and returns its id; no row if the given id is taken. The demo gives an
-- id, so that it is loaded once.
INSERT INTO organizations (id, name, message_retention_days)
VALUES (
    coalesce(%(organization_id)s::uuid, gen_random_uuid()), %(name)s, %(message_retention_days)s
)
ON CONFLICT (id) DO NOTHING
RETURNING id
