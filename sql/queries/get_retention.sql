-- How many messages past retention can still be read, and when the oldest readable message was
-- exchanged. Both are read from one end of an index.
SELECT
    (
        SELECT count(*)
        FROM messages
        WHERE
            organization_id = %(organization_id)s
            AND (body IS NOT NULL OR media_urls <> '{}')
            AND created_at < %(readable_from)s::timestamptz
    ) AS expired_count,
    (
        SELECT min(created_at)
        FROM messages
        WHERE
            organization_id = %(organization_id)s
            AND (body IS NOT NULL OR media_urls <> '{}')
    ) AS oldest_readable_at
