-- Locks an organization. Deletions of it that run at once take turns in this way, because one that
-- waited for rows that another deletes would take it that none are left.
SELECT id
FROM organizations
WHERE id = %(organization_id)s
FOR UPDATE
