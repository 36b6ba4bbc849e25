-- Locks and returns the messages with one contact, on any number, that can still be read.
-- Unlike lock_expired_messages it waits for messages that another transaction has locked, because
-- none may be left when it returns nothing.
SELECT
    messages.id,
    messages.conversation_id
FROM messages
INNER JOIN conversations
    ON
        messages.organization_id = conversations.organization_id
        AND messages.conversation_id = conversations.id
WHERE
    messages.organization_id = %(organization_id)s
    AND conversations.contact_number = %(contact_number)s
    AND (messages.body IS NOT NULL OR messages.media_urls <> '{}')
ORDER BY messages.id
LIMIT %(limit)s
FOR UPDATE OF messages
