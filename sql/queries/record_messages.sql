-- Stores the messages that are not there yet, moves the summaries of their conversations forward
-- and counts. Returns how many messages were stored, the ids of the others, and the consent events
-- that the stored ones are. Of messages with the same id the first counts. Rows are written in a
-- fixed order (messages by id, then conversations by number and contact, then counts by number), so
-- that no two writers wait for each other in a circle.
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
                redacted_at timestamptz,
                had_text boolean,
                opted_in boolean
            )
),

incoming AS (
    SELECT DISTINCT ON (id) *
    FROM given
    ORDER BY id, place
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
        created_at,
        redacted_at
    )
    SELECT
        %(organization_id)s,
        id,
        conversation_id(phone_number_id, contact_number),
        direction,
        coalesce(channel, CASE WHEN media_urls <> '{}' THEN 'mms' ELSE 'sms' END),
        body,
        coalesce(media_urls, '{}'),
        coalesce(had_text, body IS NOT NULL),
        segment_count,
        coalesce(created_at, %(now)s),
        redacted_at
    FROM incoming
    ORDER BY id
    ON CONFLICT (organization_id, id) DO NOTHING
    RETURNING id, conversation_id, created_at
),

newest AS (
    SELECT DISTINCT ON (created.conversation_id)
        created.conversation_id,
        incoming.phone_number_id,
        incoming.phone_number,
        incoming.contact_number,
        created.created_at,
        created.id,
        incoming.direction,
        incoming.body,
        CASE WHEN incoming.had_text THEN incoming.redacted_at END AS redacted_at,
        count(*) OVER (PARTITION BY created.conversation_id) AS message_count
    FROM incoming
    INNER JOIN created ON incoming.id = created.id
    ORDER BY
        created.conversation_id ASC,
        created.created_at DESC,
        created.id DESC
),

updated AS (
    INSERT INTO conversations AS stored (
        organization_id,
        phone_number_id,
        phone_number,
        contact_number,
        last_message_at,
        last_message_id,
        last_message_direction,
        last_message_preview,
        last_message_body_redacted_at,
        message_count
    )
    SELECT
        %(organization_id)s,
        phone_number_id,
        phone_number,
        contact_number,
        created_at,
        id,
        direction,
        preview(body),
        redacted_at,
        message_count
    FROM newest
    ORDER BY phone_number_id, contact_number
    ON CONFLICT (organization_id, id) DO UPDATE
        SET
            message_count = stored.message_count + excluded.message_count,
            (
                last_message_at,
                last_message_id,
                last_message_direction,
                last_message_preview,
                last_message_body_redacted_at
            ) = (
                SELECT candidate.*
                FROM (
                    VALUES
                    (
                        stored.last_message_at,
                        stored.last_message_id,
                        stored.last_message_direction,
                        stored.last_message_preview,
                        stored.last_message_body_redacted_at
                    ),
                    (
                        excluded.last_message_at,
                        excluded.last_message_id,
                        excluded.last_message_direction,
                        excluded.last_message_preview,
                        excluded.last_message_body_redacted_at
                    )
                ) AS candidate (created_at, id, direction, preview, body_redacted_at)
                ORDER BY candidate.created_at DESC NULLS LAST, candidate.id DESC
                LIMIT 1
            )
    RETURNING stored.id, stored.phone_number_id, stored.opted_in, stored.message_count
),

counted AS (
    INSERT INTO conversation_counts AS counts (
        organization_id, phone_number_id, shard, opted_in_count, other_count, change_count
    )
    SELECT
        %(organization_id)s,
        updated.phone_number_id,
        %(shard)s,
        -- A conversation that holds only messages of this statement was not listed before.
        count(*) FILTER (WHERE updated.opted_in AND updated.message_count = newest.message_count),
        count(*) FILTER (
            WHERE NOT updated.opted_in AND updated.message_count = newest.message_count
        ),
        %(change_step)s
    FROM updated
    INNER JOIN newest ON updated.id = newest.conversation_id
    GROUP BY updated.phone_number_id
    ORDER BY updated.phone_number_id
    ON CONFLICT (organization_id, phone_number_id, shard) DO UPDATE
        SET
            opted_in_count = counts.opted_in_count + excluded.opted_in_count,
            other_count = counts.other_count + excluded.other_count,
            change_count = counts.change_count + excluded.change_count
)

SELECT
    count(created.id) AS created_count,
    coalesce(array_agg(incoming.id) FILTER (WHERE created.id IS NULL), '{}') AS known_ids,
    json_agg(
        json_build_object(
            'phone_number_id', incoming.phone_number_id,
            'phone_number', incoming.phone_number,
            'contact_number', incoming.contact_number,
            'opted_in', incoming.opted_in,
            'captured_at', created.created_at
        )
    ) FILTER (WHERE created.id IS NOT NULL AND incoming.opted_in IS NOT NULL) AS consent_events
FROM incoming
LEFT JOIN created ON incoming.id = created.id
