-- Adds what create_messages returned to the summaries of the conversations, which are born here if
-- need be, and to the counts. A summary moves only forward, so the order in which messages arrive
-- leaves no trace.
WITH incoming AS (
    SELECT summary.*
    FROM
        json_to_recordset(%(summaries)s::json)
            AS summary (
                phone_number_id uuid,
                phone_number text,
                contact_number text,
                created_at timestamptz,
                id uuid,
                direction text,
                preview text,
                message_count bigint
            )
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
        message_count
    )
    SELECT
        %(organization_id)s,
        incoming.phone_number_id,
        incoming.phone_number,
        incoming.contact_number,
        incoming.created_at,
        incoming.id,
        incoming.direction,
        incoming.preview,
        incoming.message_count
    FROM incoming
    ORDER BY incoming.phone_number_id, incoming.contact_number
    ON CONFLICT (organization_id, id) DO UPDATE
        SET
            message_count = stored.message_count + excluded.message_count,
            last_message_at = CASE
                WHEN
                    (stored.last_message_at, stored.last_message_id)
                    > (excluded.last_message_at, excluded.last_message_id)
                    THEN stored.last_message_at
                ELSE excluded.last_message_at
            END,
            last_message_id = CASE
                WHEN
                    (stored.last_message_at, stored.last_message_id)
                    > (excluded.last_message_at, excluded.last_message_id)
                    THEN stored.last_message_id
                ELSE excluded.last_message_id
            END,
            last_message_direction = CASE
                WHEN
                    (stored.last_message_at, stored.last_message_id)
                    > (excluded.last_message_at, excluded.last_message_id)
                    THEN stored.last_message_direction
                ELSE excluded.last_message_direction
            END,
            last_message_preview = CASE
                WHEN
                    (stored.last_message_at, stored.last_message_id)
                    > (excluded.last_message_at, excluded.last_message_id)
                    THEN stored.last_message_preview
                ELSE excluded.last_message_preview
            END,
            last_message_body_redacted_at = CASE
                WHEN
                    (stored.last_message_at, stored.last_message_id)
                    > (excluded.last_message_at, excluded.last_message_id)
                    THEN stored.last_message_body_redacted_at
                ELSE excluded.last_message_body_redacted_at
            END
    RETURNING stored.phone_number_id, stored.contact_number, stored.opted_in, stored.message_count
)

INSERT INTO conversation_counts AS counts (
    organization_id, phone_number_id, slot, opted_in_count, other_count, change_count
)
SELECT
    %(organization_id)s,
    updated.phone_number_id,
    %(slot)s,
    -- A conversation that holds nothing but what came in just now was not listed before.
    count(*) FILTER (WHERE updated.opted_in AND updated.message_count = incoming.message_count),
    count(*) FILTER (WHERE NOT updated.opted_in AND updated.message_count = incoming.message_count),
    %(step)s
FROM updated
INNER JOIN
    incoming
    ON
        updated.phone_number_id = incoming.phone_number_id
        AND updated.contact_number = incoming.contact_number
GROUP BY updated.phone_number_id
ORDER BY updated.phone_number_id
ON CONFLICT (organization_id, phone_number_id, slot) DO UPDATE
    SET
        opted_in_count = counts.opted_in_count + excluded.opted_in_count,
        other_count = counts.other_count + excluded.other_count,
        change_count = counts.change_count + excluded.change_count
