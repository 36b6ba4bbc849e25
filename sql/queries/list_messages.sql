-- One page of a conversation's messages as one row: the items as a JSON array, the position of the
-- last of them if more follow, and the total and the change count. No row: there is no such
-- conversation.
-- One statement, so that all of these are of the same snapshot. Of the two halves of the page, one
-- for each order, only the one that is asked for is read.
WITH page AS (
    (
        SELECT
            id,
            direction,
            body,
            media_urls,
            channel,
            segment_count,
            created_at,
            redacted_at,
            row_number() OVER (ORDER BY created_at, id ROWS UNBOUNDED PRECEDING) AS place
        FROM messages
        WHERE
            %(order)s::text = 'asc'
            AND organization_id = %(organization_id)s
            AND conversation_id = %(conversation_id)s
            AND (created_at, id) > (
                coalesce(%(cursor_at)s::timestamptz, '-infinity'),
                coalesce(%(cursor_id)s::uuid, '00000000-0000-0000-0000-000000000000')
            )
        ORDER BY created_at, id
        LIMIT %(limit)s + 1
    )
    UNION ALL
    (
        SELECT
            id,
            direction,
            body,
            media_urls,
            channel,
            segment_count,
            created_at,
            redacted_at,
            row_number() OVER (ORDER BY created_at DESC, id DESC ROWS UNBOUNDED PRECEDING) AS place
        FROM messages
        WHERE
            %(order)s::text = 'desc'
            AND organization_id = %(organization_id)s
            AND conversation_id = %(conversation_id)s
            AND (created_at, id) < (
                coalesce(%(cursor_at)s::timestamptz, 'infinity'),
                coalesce(%(cursor_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
            )
        ORDER BY created_at DESC, id DESC
        LIMIT %(limit)s + 1
    )
),

listed AS (
    SELECT
        conversations.message_count,
        coalesce(
            json_agg(
                json_build_object(
                    'id', page.id,
                    'direction', page.direction,
                    'phone_number_id', conversations.phone_number_id,
                    'from_number', CASE page.direction
                        WHEN 'inbound' THEN conversations.contact_number
                        ELSE conversations.phone_number
                    END,
                    'to_number', CASE page.direction
                        WHEN 'inbound' THEN conversations.phone_number
                        ELSE conversations.contact_number
                    END,
                    'body', page.body,
                    'media_urls', page.media_urls,
                    'channel', page.channel,
                    'segment_count', page.segment_count,
                    'created_at', rfc3339(page.created_at),
                    'redacted_at', rfc3339(page.redacted_at)
                ) ORDER BY page.place
            ) FILTER (WHERE page.place <= %(limit)s),
            '[]'
        ) AS items,
        count(*) FILTER (WHERE page.place <= %(limit)s) AS row_count,
        count(page.place) > %(limit)s AS has_more,
        max(page.created_at) FILTER (WHERE page.place = %(limit)s) AS last_at,
        (array_agg(page.id) FILTER (WHERE page.place = %(limit)s))[1] AS last_id
    FROM conversations
    LEFT JOIN page ON TRUE
    WHERE
        conversations.organization_id = %(organization_id)s
        AND conversations.id = %(conversation_id)s
        AND conversations.message_count > 0
    GROUP BY conversations.message_count
)

SELECT
    listed.items,
    listed.row_count,
    CASE WHEN listed.has_more THEN listed.last_at END AS last_at,
    CASE WHEN listed.has_more THEN listed.last_id END AS last_id,
    listed.message_count AS total,
    (
        SELECT coalesce(sum(change_count), 0)::bigint
        FROM conversation_counts
        WHERE
            organization_id = %(organization_id)s
            AND counted_id = '00000000-0000-0000-0000-000000000000'
    ) AS change_count
FROM listed
