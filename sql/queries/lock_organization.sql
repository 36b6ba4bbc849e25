-- Locks an organization, so that two deletions of it take turns. Otherwise the second would wait
-- for rows that the first deletes, and then believe that none are left.
SELECT id
FROM organizations
WHERE id = %(organization_id)s
FOR UPDATE
