-- Gives a message the text and the media addresses that it lacks, unless they were removed here,
-- and its conversation the preview if it is the last message. Returns when it was exchanged.
-- A carrier reports a message in two ways, and each may lack what the other has. One message a
-- statement, so that it locks the message before the conversation, in the order of redaction.
WITH filled AS (
    UPDATE messages
    SET
        body = coalesce(nullif(body, ''), %(body)s::text, body),
        has_text = has_text OR %(body)s::text IS NOT NULL,
        channel = CASE WHEN %(media_urls)s::text[] <> '{}' THEN 'mms' ELSE channel END,
        media_urls = CASE WHEN media_urls = '{}' THEN %(media_urls)s::text[] ELSE media_urls END
    WHERE
        organization_id = %(organization_id)s
        AND id = %(id)s::uuid
        AND redacted_at IS NULL
    RETURNING id, conversation_id, body, created_at
),

updated AS (
    UPDATE conversations
    SET last_message_preview = preview(filled.body)
    FROM filled
    WHERE
        conversations.organization_id = %(organization_id)s
        AND conversations.id = filled.conversation_id
        AND conversations.last_message_id = filled.id
),

counted AS (
    INSERT INTO conversation_counts AS counts (
        organization_id, phone_number_id, shard, opted_in_count, other_count, change_count
    )
    SELECT
        %(organization_id)s,
        %(phone_number_id)s::uuid,
        %(shard)s,
        0,
        0,
        %(change_step)s
    FROM filled
    ON CONFLICT (organization_id, phone_number_id, shard) DO UPDATE
        SET change_count = counts.change_count + excluded.change_count
)

SELECT created_at
FROM filled
