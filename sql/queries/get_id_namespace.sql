-- The namespace of the ids that an organization's imported messages get. It has no use but to
-- compute these, and no response shows it.
SELECT id_namespace
FROM organizations
WHERE id = %(organization_id)s
