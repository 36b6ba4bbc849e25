-- One page of an organization's conversations, newest first, as one row: the items as a JSON array,
-- the position of the last of them if more follow, and the total and the change count.
-- One statement, so that all of these are of the same snapshot. A filter that is not given is NULL;
-- each set of filters is a statement of its own, with its own plan (queries.specialize).
WITH page AS (
    SELECT
        list_item,
        last_message_at,
        id,
        row_number() OVER (ORDER BY last_message_at DESC, id DESC ROWS UNBOUNDED PRECEDING) AS place
    FROM conversations
    WHERE
        organization_id = %(organization_id)s
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
    SELECT
        coalesce(
            json_agg(list_item ORDER BY place) FILTER (WHERE place <= %(limit)s), '[]'
        ) AS items,
        count(*) FILTER (WHERE place <= %(limit)s) AS row_count,
        count(*) > %(limit)s AS has_more,
        max(last_message_at) FILTER (WHERE place = %(limit)s) AS last_at,
        (array_agg(id) FILTER (WHERE place = %(limit)s))[1] AS last_id
    FROM page
),

counted AS (
    SELECT
        coalesce(sum(
            CASE WHEN %(opted_in)s::boolean IS NOT FALSE THEN opted_in_count ELSE 0 END
            + CASE WHEN %(opted_in)s::boolean IS NOT TRUE THEN other_count ELSE 0 END
        ) FILTER (
            WHERE
            (counted_id = '00000000-0000-0000-0000-000000000000')
            = (%(phone_number_id)s::uuid IS NULL)
        ), 0) AS total,
        coalesce(sum(change_count), 0) AS change_count
    FROM conversation_counts
    WHERE
        organization_id = %(organization_id)s
        AND counted_id IN (
            '00000000-0000-0000-0000-000000000000', %(phone_number_id)s::uuid
        )
)

SELECT
    listed.items,
    listed.row_count,
    CASE WHEN listed.has_more THEN listed.last_at END AS last_at,
    CASE WHEN listed.has_more THEN listed.last_id END AS last_id,
    CASE
        WHEN
            %(contact_number)s::text IS NOT NULL
            OR (
                %(since)s::timestamptz IS NOT NULL
                -- While nothing is older, the counts say how many match, and none has to be read.
                AND EXISTS (
                    SELECT FROM conversations
                    WHERE
                        organization_id = %(organization_id)s
                        AND last_message_at < %(since)s::timestamptz
                        AND (
                            %(phone_number_id)s::uuid IS NULL
                            OR phone_number_id = %(phone_number_id)s::uuid
                        )
                        AND (
                            %(opted_in)s::boolean IS NULL OR opted_in = %(opted_in)s::boolean
                        )
                )
            )
            THEN (
                SELECT count(*)
                FROM conversations
                WHERE
                    organization_id = %(organization_id)s
                    -- The same as message_count > 0, but an index holds this column.
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
FROM listed
INNER JOIN counted ON TRUE
