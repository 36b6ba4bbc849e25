-- Stores the messages that are not there yet; of those with the same id, the first. Returns the ids
-- that were there before, whether an id came more than once, and the consent events that the new
-- messages are. update_conversations follows.
-- Sorted, as update_conversations is: two writers with the same rows must wait for each other in
-- the same order.
WITH given AS (
    SELECT
        message.*,
        row_number() OVER () AS place
    FROM
        json_to_recordset(%(messages)s::json)
            AS message (
                id uuid,
                phone_number_id uuid,
                phone_number text,
                contact_number text,
                direction text,
                channel text,
                body text,
                media_urls text[],
                segment_count smallint,
                created_at timestamptz,
                opted_in boolean
            )
),

incoming AS (
    SELECT DISTINCT ON (given.id) given.*
    FROM given
    ORDER BY given.id, given.place
),

created AS (
    INSERT INTO messages (
        organization_id,
        id,
        conversation_id,
        direction,
        channel,
        body,
        media_urls,
        has_text,
        segment_count,
        created_at
    )
    SELECT
        %(organization_id)s,
        id,
        conversation_id(phone_number_id, contact_number),
        direction,
        coalesce(channel, CASE WHEN media_urls <> '{}' THEN 'mms' ELSE 'sms' END),
        body,
        coalesce(media_urls, '{}'),
        body IS NOT NULL,
        segment_count,
        coalesce(created_at, now())
    FROM incoming
    ORDER BY id
    ON CONFLICT (organization_id, id) DO NOTHING
    RETURNING id, created_at
)

SELECT
    coalesce(array_agg(incoming.id::text) FILTER (WHERE created.id IS NULL), '{}') AS known,
    count(*) < (SELECT count(*) FROM given) AS has_repeated,
    coalesce(
        json_agg(
            json_build_object(
                'phone_number_id', incoming.phone_number_id,
                'phone_number', incoming.phone_number,
                'contact_number', incoming.contact_number,
                'opted_in', incoming.opted_in,
                'captured_at', created.created_at
            )
        ) FILTER (WHERE created.id IS NOT NULL AND incoming.opted_in IS NOT NULL),
        '[]'
    ) AS events
FROM incoming
LEFT JOIN created ON incoming.id = created.id
