-- Stores the messages that are not there yet; of those with the same id, the first. Returns how
-- many that were, the ids that were there before, what the new messages add to the summaries of
-- their conversations, for update_conversations, and the consent events that they are.
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
        coalesce(created_at, %(now)s)
    FROM incoming
    ORDER BY id
    ON CONFLICT (organization_id, id) DO NOTHING
    RETURNING id, created_at
),

newest AS (
    SELECT DISTINCT ON (incoming.phone_number_id, incoming.contact_number)
        incoming.phone_number_id,
        incoming.phone_number,
        incoming.contact_number,
        created.created_at,
        created.id,
        incoming.direction,
        CASE
            WHEN char_length(incoming.body) > 160 THEN left(incoming.body, 159) || '…' ELSE
                incoming.body
        END AS preview,
        count(*)
            OVER (PARTITION BY incoming.phone_number_id, incoming.contact_number)
            AS message_count
    FROM incoming
    INNER JOIN created ON incoming.id = created.id
    ORDER BY
        incoming.phone_number_id ASC,
        incoming.contact_number ASC,
        created.created_at DESC,
        created.id DESC
)

SELECT
    count(created.id) AS created_count,
    coalesce(array_agg(incoming.id::text) FILTER (WHERE created.id IS NULL), '{}') AS known,
    (SELECT json_agg(newest)::text FROM newest) AS summaries,
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
