-- Deletes an organization that owns nothing any more. It goes last, so that what an interruption
-- leaves of it is still found by its id.
DELETE FROM organizations
WHERE id = %(organization_id)s
