-- One page of conversations, newest first, as one row: the live key with this hash, and what it
-- opens: the page's items as JSON, the last of them if more follow, and the total and the change
-- count of the same snapshot. No row: there is no such key. An absent filter is NULL;
-- db.query_given lets each set of filters have its plan and so its index.
WITH api_key AS (
    SELECT live_api_keys.*
    FROM live_api_keys
    WHERE key_hash = %(key_hash)s
),

page AS (
    SELECT
        list_item::text AS item,
        last_message_at,
        id
    FROM conversations
    WHERE
        organization_id = (SELECT organization_id FROM api_key)
        AND (last_message_at, id) < (
            coalesce(%(cursor_at)s::timestamptz, 'infinity'),
            coalesce(%(cursor_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
        )
        AND (%(phone_number_id)s::uuid IS NULL OR phone_number_id = %(phone_number_id)s::uuid)
        AND (%(contact_number)s::text IS NULL OR contact_number = %(contact_number)s::text)
        AND (%(since)s::timestamptz IS NULL OR last_message_at >= %(since)s::timestamptz)
        AND (%(opted_in)s::boolean IS NULL OR opted_in = %(opted_in)s::boolean)
    ORDER BY last_message_at DESC, id DESC
    LIMIT %(limit)s + 1
),

listed AS (
    SELECT coalesce(array_agg(item ORDER BY last_message_at DESC, id DESC), '{}') AS items
    FROM page
),

counted AS (
    SELECT
        coalesce(sum(
            CASE WHEN %(opted_in)s::boolean IS NOT FALSE THEN opted_in_count ELSE 0 END
            + CASE WHEN %(opted_in)s::boolean IS NOT TRUE THEN other_count ELSE 0 END
        ) FILTER (
            WHERE %(phone_number_id)s::uuid IS NULL OR phone_number_id = %(phone_number_id)s::uuid
        ), 0) AS total,
        coalesce(sum(change_count), 0) AS change_count
    FROM conversation_counts
    WHERE organization_id = (SELECT organization_id FROM api_key)
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
    CASE
        WHEN %(contact_number)s::text IS NOT NULL OR %(since)s::timestamptz IS NOT NULL
            THEN (
                SELECT count(*)
                FROM conversations
                WHERE
                    organization_id = (SELECT organization_id FROM api_key)
                    -- The same as message_count > 0, but the indexes alone can tell.
                    AND last_message_at IS NOT NULL
                    AND (
                        %(phone_number_id)s::uuid IS NULL
                        OR phone_number_id = %(phone_number_id)s::uuid
                    )
                    AND (
                        %(contact_number)s::text IS NULL
                        OR contact_number = %(contact_number)s::text
                    )
                    AND (
                        %(since)s::timestamptz IS NULL
                        OR last_message_at >= %(since)s::timestamptz
                    )
                    AND (%(opted_in)s::boolean IS NULL OR opted_in = %(opted_in)s::boolean)
            )
        ELSE counted.total
    END::bigint AS total,
    counted.change_count::bigint AS change_count
FROM api_key
INNER JOIN listed ON TRUE
INNER JOIN counted ON TRUE
