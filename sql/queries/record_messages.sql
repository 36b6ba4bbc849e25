-- Stores the messages that are not there yet, moves the summaries of their conversations forward
-- and counts. Returns a row for each opt-in or opt-out in a stored message, and a row for each
-- message that was stored before, whose opted_in is null. A row names its message by the place
-- among those given.
-- Of messages with the same id the first counts. Rows are written in a fixed order (messages by id,
-- then conversations by number and contact, then counts), so that no two writers wait for each
-- other in a circle.
WITH given AS (
    SELECT
        message.*,
        row_number() OVER () AS place,
        statement_timestamp() AS now
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
                verdicts boolean[]
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
        coalesce(created_at, now),
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
        id,
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
        conversation_id,
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
                ) AS candidate
                -- By the instant and the id of the message.
                ORDER BY column1 DESC NULLS LAST, column2 DESC
                LIMIT 1
            )
    RETURNING id, phone_number_id, opted_in, message_count
),

changed AS (
    SELECT
        updated.phone_number_id,
        updated.opted_in,
        -- A conversation with no other messages than those of this statement was not listed before.
        updated.message_count = newest.message_count AS is_new
    FROM updated
    INNER JOIN newest ON updated.id = newest.conversation_id
),

counted AS (
    INSERT INTO conversation_counts AS counts (
        organization_id, counted_id, shard, opted_in_count, other_count, change_count
    )
    SELECT
        %(organization_id)s,
        coalesce(phone_number_id, '00000000-0000-0000-0000-000000000000') AS counted_id,
        %(shard)s,
        count(*) FILTER (WHERE is_new AND opted_in),
        count(*) FILTER (WHERE is_new AND NOT opted_in),
        CASE WHEN phone_number_id IS NULL THEN %(change_step)s ELSE 0 END
    FROM changed
    GROUP BY GROUPING SETS ((), (phone_number_id))
    HAVING count(*) > 0 AND (phone_number_id IS NULL OR bool_or(is_new))
    ORDER BY counted_id
    ON CONFLICT (organization_id, counted_id, shard) DO UPDATE
        SET
            opted_in_count = counts.opted_in_count + excluded.opted_in_count,
            other_count = counts.other_count + excluded.other_count,
            change_count = counts.change_count + excluded.change_count
)

SELECT
    given.place,
    given.phone_number_id,
    given.phone_number,
    given.contact_number,
    verdict.opted_in,
    created.created_at AS captured_at
FROM given
LEFT JOIN incoming ON given.place = incoming.place
LEFT JOIN created ON incoming.id = created.id
CROSS JOIN LATERAL unnest(
    CASE WHEN created.id IS NULL THEN '{NULL}' ELSE given.verdicts END
) AS verdict (opted_in)
