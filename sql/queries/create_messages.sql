-- Stores the messages that are not there yet and returns the ids of those.
-- Sorted, as update_conversations is: two writers with the same rows must wait for each other in
-- the same order.
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
    incoming.id,
    conversation_id(incoming.phone_number_id, incoming.contact_number),
    incoming.direction,
    incoming.channel,
    incoming.body,
    incoming.media_urls,
    incoming.body IS NOT NULL,
    incoming.segment_count,
    incoming.created_at
FROM
    json_to_recordset(%(messages)s::json)
        AS incoming (
            id uuid,
            phone_number_id uuid,
            contact_number text,
            direction text,
            channel text,
            body text,
            media_urls text[],
            segment_count smallint,
            created_at timestamptz
        )
ORDER BY incoming.id
ON CONFLICT (organization_id, id) DO NOTHING
RETURNING id
