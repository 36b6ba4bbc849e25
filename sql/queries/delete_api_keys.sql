-- Deletes the keys of an organization. delete-organization begins with them, so that nothing more
-- arrives while it goes on.
DELETE FROM api_keys
WHERE organization_id = %(organization_id)s
