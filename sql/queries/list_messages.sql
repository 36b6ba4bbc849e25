-- One page of a conversation's messages, oldest first, as one row: the live key with this hash, and
-- what it opens: the page's items as JSON, the last of them if more follow, and the total and the
-- change count of the same snapshot. No row: there is no such key. No items: there is no such
-- conversation.
WITH api_key AS (
    SELECT live_api_keys.*
    FROM live_api_keys
    WHERE key_hash = %(key_hash)s
),

page AS (
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
        organization_id = (SELECT organization_id FROM api_key)
        AND conversation_id = %(conversation_id)s
        AND (created_at, id) > (
            coalesce(%(cursor_at)s::timestamptz, '-infinity'),
            coalesce(%(cursor_id)s::uuid, '00000000-0000-0000-0000-000000000000')
        )
    ORDER BY created_at, id
    LIMIT %(limit)s + 1
),

listed AS (
    SELECT
        conversations.message_count,
        coalesce(
            array_agg(
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
                )::text ORDER BY page.created_at, page.id
            ) FILTER (WHERE page.id IS NOT NULL), '{}'
        ) AS items
    FROM conversations
    LEFT JOIN page ON TRUE
    WHERE
        conversations.organization_id = (SELECT organization_id FROM api_key)
        AND conversations.id = %(conversation_id)s
        AND conversations.message_count > 0
    GROUP BY conversations.message_count
)

SELECT
    api_key.organization_id,
    api_key.id,
    api_key.prefix,
    api_key.scopes,
    api_key.is_stale,
    array_to_string(
        trim_array(listed.items, greatest(cardinality(listed.items) - %(limit)s, 0)), ','
    )::varchar AS items,
    least(cardinality(listed.items), %(limit)s) AS row_count,
    CASE
        WHEN cardinality(listed.items) > %(limit)s THEN listed.items[%(limit)s]
    END AS last_item,
    listed.message_count AS total,
    (
        SELECT coalesce(sum(change_count), 0)::bigint
        FROM conversation_counts
        WHERE organization_id = (SELECT organization_id FROM api_key)
    ) AS change_count
FROM api_key
LEFT JOIN listed ON TRUE
