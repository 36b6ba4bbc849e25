-- One page of an organization's phone numbers, oldest first, as one row: the items as a JSON array,
-- the position of the last of them if more follow, and the total and the change count.
-- One statement, so that all of these are of the same snapshot.
WITH page AS (
    SELECT
        id,
        number,
        created_at,
        row_number() OVER (ORDER BY created_at, id ROWS UNBOUNDED PRECEDING) AS place
    FROM phone_numbers
    WHERE
        organization_id = %(organization_id)s
        AND (created_at, id) > (
            coalesce(%(cursor_at)s::timestamptz, '-infinity'),
            coalesce(%(cursor_id)s::uuid, '00000000-0000-0000-0000-000000000000')
        )
    ORDER BY created_at, id
    LIMIT %(limit)s + 1
),

listed AS (
    SELECT
        coalesce(
            json_agg(
                json_build_object(
                    'id', id, 'phone_number', number, 'created_at', rfc3339(created_at)
                ) ORDER BY place
            ) FILTER (WHERE place <= %(limit)s),
            '[]'
        ) AS items,
        count(*) FILTER (WHERE place <= %(limit)s) AS row_count,
        count(*) > %(limit)s AS has_more,
        max(created_at) FILTER (WHERE place = %(limit)s) AS last_at,
        (array_agg(id) FILTER (WHERE place = %(limit)s))[1] AS last_id
    FROM page
),

counted AS (
    SELECT
        coalesce(sum(phone_number_count), 0)::bigint AS total,
        coalesce(sum(change_count), 0)::bigint AS change_count
    FROM conversation_counts
    WHERE
        organization_id = %(organization_id)s
        AND counted_id = '00000000-0000-0000-0000-000000000000'
)

SELECT
    listed.items,
    listed.row_count,
    CASE WHEN listed.has_more THEN listed.last_at END AS last_at,
    CASE WHEN listed.has_more THEN listed.last_id END AS last_id,
    counted.total,
    counted.change_count
FROM listed
INNER JOIN counted ON TRUE
