-- Compares messages whose ids were known with what is stored under these ids. Returns what became
-- of each, by its place among those given: the name of an outcome.
-- What a message does not give is no difference, and neither is content that was removed on either
-- side. A carrier's message may be reported twice, each time with less than all: its direction, its
-- numbers and its text alone are compared, and what the stored message lacks is filled in.
WITH given AS (
    SELECT
        message.*,
        element.place,
        -- A text of null says that the message had none; an absent text says nothing.
        element.content -> 'body' IS NOT NULL AS has_body
    FROM
        json_array_elements(%(messages)s::json) WITH ORDINALITY AS element (content, place)
    CROSS JOIN
        LATERAL
        json_to_record(element.content)
            AS message (
                id uuid,
                phone_number_id uuid,
                contact_number text,
                direction text,
                channel text,
                body text,
                media_urls text[],
                segment_count smallint,
                created_at timestamptz,
                redacted_at timestamptz,
                verdicts boolean[],
                has_carrier_id boolean
            )
),

compared AS (
    SELECT
        given.place,
        given.has_carrier_id IS TRUE AS is_report,
        conversation_id(given.phone_number_id, given.contact_number) = stored.conversation_id
        AND given.direction = stored.direction AS has_same_ends,
        coalesce(given.channel, stored.channel) = stored.channel
        AND coalesce(given.created_at, stored.created_at) = stored.created_at
        AND (
            coalesce(given.segment_count, stored.segment_count)
            IS NOT DISTINCT FROM stored.segment_count
        ) AS has_same_fields,
        (NOT given.has_body OR given.body IS NOT DISTINCT FROM stored.body)
        AND coalesce(given.media_urls, stored.media_urls) = stored.media_urls AS has_same_content,
        num_nonnulls(given.redacted_at, stored.redacted_at) > 0 AS is_redacted,
        coalesce(nullif(given.body, '') <> nullif(stored.body, ''), FALSE) AS has_other_text,
        stored.redacted_at IS NULL
        AND (
            (given.body <> '' AND coalesce(stored.body, '') = '')
            OR (given.media_urls <> '{}' AND stored.media_urls = '{}')
            OR (
                TRUE = any(given.verdicts)
                AND coalesce(conversations.opted_in_at < stored.created_at, TRUE)
            )
            OR (
                FALSE = any(given.verdicts)
                AND coalesce(conversations.opted_out_at < stored.created_at, TRUE)
            )
        ) AS brings_more
    FROM given
    INNER JOIN messages AS stored
        ON
            stored.organization_id = %(organization_id)s
            AND given.id = stored.id
            -- An index condition, because a generic plan would hash the whole inbox for the join.
            AND stored.id = any(array(SELECT known.id FROM given AS known))
    INNER JOIN conversations
        ON
            conversations.organization_id = %(organization_id)s
            AND stored.conversation_id = conversations.id
    WHERE given.place = any(%(places)s::bigint[])
)

SELECT
    place,
    CASE
        WHEN NOT has_same_ends THEN 'CONFLICT'
        WHEN is_report AND has_other_text THEN 'CONFLICT'
        WHEN is_report AND brings_more THEN 'FILLED'
        WHEN is_report THEN 'KNOWN'
        WHEN has_same_fields AND (has_same_content OR is_redacted) THEN 'KNOWN'
        ELSE 'CONFLICT'
    END AS outcome
FROM compared
