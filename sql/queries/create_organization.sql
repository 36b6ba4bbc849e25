-- A new organization's id; nothing if the given id is taken.
INSERT INTO organizations (id, name, message_retention_days)
VALUES (
    coalesce(%(organization_id)s::uuid, gen_random_uuid()), %(name)s, %(message_retention_days)s
)
ON CONFLICT (id) DO NOTHING
RETURNING id
