-- One page of conversations, newest first, each row with the total and the change count of the same
-- snapshot behind it; an empty page is one row of nulls with those two. An absent filter is NULL
-- and planned away, because every execution is planned with its real values.
WITH counted AS (
    SELECT
        coalesce(sum(opted_in_count + other_count) FILTER (
            WHERE %(phone_number_id)s::uuid IS NULL OR phone_number_id = %(phone_number_id)s::uuid
        ), 0) AS everyone,
        coalesce(sum(opted_in_count) FILTER (
            WHERE %(phone_number_id)s::uuid IS NULL OR phone_number_id = %(phone_number_id)s::uuid
        ), 0) AS opted_in,
        coalesce(sum(change_count), 0) AS change_count
    FROM conversation_counts
    WHERE organization_id = %(organization_id)s
),

page AS (
    SELECT
        organization_id,
        id,
        phone_number_id,
        contact_number,
        last_message_at,
        last_message_direction,
        last_message_preview,
        last_message_body_redacted_at,
        message_count,
        opted_in,
        opted_in_at,
        opted_out_at
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
    LIMIT %(limit)s
)

SELECT
    rtrim(translate(encode(uuid_send(page.id), 'base64'), '+/', '-_'), '=') AS id,
    page.phone_number_id,
    phone_numbers.number AS phone_number,
    page.contact_number,
    page.last_message_at,
    page.last_message_direction,
    CASE
        WHEN page.last_message_body_redacted_at IS NOT NULL THEN '[redacted]'
        ELSE coalesce(page.last_message_preview, '[media]')
    END AS last_message_preview,
    page.last_message_body_redacted_at,
    page.message_count,
    CASE
        WHEN num_nonnulls(page.opted_in_at, page.opted_out_at) > 0
            THEN json_build_object(
                'opted_in', page.opted_in,
                'opted_in_at', rfc3339(page.opted_in_at)
            )
    END AS consent,
    counted.change_count::bigint AS change_count,
    CASE
        WHEN %(contact_number)s::text IS NOT NULL OR %(since)s::timestamptz IS NOT NULL
            THEN (
                SELECT count(*)
                FROM conversations
                WHERE
                    organization_id = %(organization_id)s
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
        WHEN %(opted_in)s::boolean IS NULL THEN counted.everyone
        WHEN %(opted_in)s::boolean THEN counted.opted_in
        ELSE counted.everyone - counted.opted_in
    END::bigint AS total
FROM counted
LEFT JOIN page ON TRUE
LEFT JOIN phone_numbers
    ON
        page.organization_id = phone_numbers.organization_id
        AND page.phone_number_id = phone_numbers.id
ORDER BY page.last_message_at DESC, page.id DESC
