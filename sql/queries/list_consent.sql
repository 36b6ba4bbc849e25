-- One page of an organization's consent records, most recently updated first, as one row: the items
-- as a JSON array, the position of the last of them if more follow, and the total and the change
-- count.
-- One statement, so that all of these are of the same snapshot. The page is found in an index
-- alone and its rows are looked up afterwards, so that no row that a filter leaves out is
-- read. A filter that is not given is NULL; each set of filters is a statement of its own, with its
-- own plan (queries.specialize).
WITH page AS (
    SELECT
        id,
        consent_updated_at,
        row_number() OVER (
            ORDER BY consent_updated_at DESC, id DESC ROWS UNBOUNDED PRECEDING
        ) AS place
    FROM conversations
    WHERE
        organization_id = %(organization_id)s
        AND consent_updated_at IS NOT NULL
        AND (consent_updated_at, id) < (
            coalesce(%(cursor_at)s::timestamptz, 'infinity'),
            coalesce(%(cursor_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
        )
        AND (%(phone_number_id)s::uuid IS NULL OR phone_number_id = %(phone_number_id)s::uuid)
        AND (%(contact_number)s::text IS NULL OR contact_number = %(contact_number)s::text)
        AND (%(since)s::timestamptz IS NULL OR consent_updated_at >= %(since)s::timestamptz)
        AND (%(opted_in)s::boolean IS NULL OR opted_in = %(opted_in)s::boolean)
    ORDER BY consent_updated_at DESC, id DESC
    LIMIT %(limit)s + 1
),

listed AS (
    SELECT
        coalesce(
            json_agg(
                json_build_object(
                    'phone_number_id', consent.phone_number_id,
                    'phone_number', consent.phone_number,
                    'contact_number', consent.contact_number,
                    'opted_in', consent.opted_in,
                    'opted_in_at', rfc3339(consent.opted_in_at),
                    'opted_out_at', rfc3339(consent.opted_out_at),
                    'updated_at', rfc3339(consent.consent_updated_at)
                ) ORDER BY page.place
            ) FILTER (WHERE page.place <= %(limit)s),
            '[]'
        ) AS items,
        count(*) FILTER (WHERE page.place <= %(limit)s) AS row_count,
        count(*) > %(limit)s AS has_more,
        max(page.consent_updated_at) FILTER (WHERE page.place = %(limit)s) AS last_at,
        (array_agg(page.id) FILTER (WHERE page.place = %(limit)s))[1] AS last_id
    FROM page
    INNER JOIN conversations AS consent
        ON
            consent.organization_id = %(organization_id)s
            AND page.id = consent.id
            -- An index condition, because a generic plan would hash the whole inbox for the join.
            AND consent.id = any(array(SELECT found.id FROM page AS found))
),

counted AS (
    SELECT
        coalesce(sum(
            CASE WHEN %(opted_in)s::boolean IS NOT FALSE THEN opted_in_record_count ELSE 0 END
            + CASE WHEN %(opted_in)s::boolean IS NOT TRUE THEN opted_out_record_count ELSE 0 END
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
                        AND consent_updated_at < %(since)s::timestamptz
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
                    AND consent_updated_at IS NOT NULL
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
                        OR consent_updated_at >= %(since)s::timestamptz
                    )
                    AND (%(opted_in)s::boolean IS NULL OR opted_in = %(opted_in)s::boolean)
            )
        ELSE counted.total
    END::bigint AS total,
    counted.change_count::bigint AS change_count
FROM listed
INNER JOIN counted ON TRUE
