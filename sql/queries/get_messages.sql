-- The messages with these ids, each as a row of list_messages. A message whose id is known already
-- is compared with them.
SELECT
    messages.id,
    messages.direction,
    conversations.phone_number_id,
    CASE messages.direction
        WHEN 'inbound' THEN conversations.contact_number ELSE conversations.phone_number
    END AS from_number,
    CASE messages.direction
        WHEN 'inbound' THEN conversations.phone_number ELSE conversations.contact_number
    END AS to_number,
    messages.body,
    messages.media_urls,
    messages.channel,
    messages.segment_count,
    messages.created_at,
    messages.redacted_at
FROM messages
INNER JOIN conversations
    ON
        messages.organization_id = conversations.organization_id
        AND messages.conversation_id = conversations.id
WHERE
    messages.organization_id = %(organization_id)s
    AND messages.id = any(%(ids)s::uuid[])
