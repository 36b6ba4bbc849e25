-- The change count of an organization. A conditional request is answered from it alone while
-- nothing has changed.
SELECT coalesce(sum(change_count), 0)::bigint AS change_count
FROM conversation_counts
WHERE
    organization_id = %(organization_id)s
    AND counted_id = '00000000-0000-0000-0000-000000000000'
