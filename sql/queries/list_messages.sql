-- One page of a conversation's messages, oldest first, each row with the change count and the total
-- behind it; a cursor at the end is one row of nulls with those two, and no row at all means that
-- there is no such conversation.
WITH page AS (
    SELECT
        id,
        direction,
        body,
        media_urls,
        channel,
        segment_count,
        created_at,
        redacted_at
    FROM messages
    WHERE
        organization_id = %(organization_id)s
        AND conversation_id = %(conversation_id)s
        AND (created_at, id) > (
            coalesce(%(cursor_at)s::timestamptz, '-infinity'),
            coalesce(%(cursor_id)s::uuid, '00000000-0000-0000-0000-000000000000')
        )
    ORDER BY created_at, id
    LIMIT %(limit)s
)

SELECT
    page.id,
    page.direction,
    conversations.phone_number_id,
    CASE page.direction
        WHEN 'inbound' THEN conversations.contact_number ELSE phone_numbers.number
    END AS from_number,
    CASE page.direction
        WHEN 'inbound' THEN phone_numbers.number ELSE conversations.contact_number
    END AS to_number,
    page.body,
    page.media_urls,
    page.channel,
    page.segment_count,
    page.created_at,
    page.redacted_at,
    (
        SELECT coalesce(sum(change_count), 0)::bigint
        FROM conversation_counts
        WHERE organization_id = %(organization_id)s
    ) AS change_count,
    conversations.message_count AS total
FROM conversations
INNER JOIN phone_numbers
    ON
        conversations.organization_id = phone_numbers.organization_id
        AND conversations.phone_number_id = phone_numbers.id
LEFT JOIN page ON TRUE
WHERE
    conversations.organization_id = %(organization_id)s
    AND conversations.id = %(conversation_id)s
    AND conversations.message_count > 0
ORDER BY page.created_at, page.id
