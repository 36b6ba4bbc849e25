-- Every message of an organization as export-messages writes it, conversation by conversation, with
-- the consent on record. The consent tells whether a keyword in the message is on record.
SELECT
    messages.id,
    messages.direction,
    CASE messages.direction
        WHEN 'inbound' THEN conversations.contact_number ELSE conversations.phone_number
    END AS "from",
    CASE messages.direction
        WHEN 'inbound' THEN conversations.phone_number ELSE conversations.contact_number
    END AS "to",
    messages.body,
    messages.media_urls,
    messages.channel,
    messages.segment_count,
    messages.created_at,
    messages.redacted_at,
    messages.has_text AS had_text,
    conversations.opted_in_at,
    conversations.opted_out_at
FROM messages
INNER JOIN conversations
    ON
        messages.organization_id = conversations.organization_id
        AND messages.conversation_id = conversations.id
WHERE messages.organization_id = %(organization_id)s
ORDER BY messages.conversation_id, messages.created_at, messages.id
