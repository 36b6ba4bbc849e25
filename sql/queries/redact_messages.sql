-- Removes bodies and media of messages, and the preview of each conversation whose last message is
-- among them, and counts the change for their phone numbers. One statement, so that no copy of a
-- removed body is left. lock_conversations has returned the phone numbers.
WITH redacted AS (
    UPDATE messages
    SET
        body = NULL,
        media_urls = '{}',
        redacted_at = %(redacted_at)s::timestamptz
    WHERE
        organization_id = %(organization_id)s
        AND id = any(%(ids)s::uuid[])
    RETURNING id, conversation_id, has_text, redacted_at
),

updated AS (
    UPDATE conversations
    SET
        last_message_preview = NULL,
        last_message_body_redacted_at = redacted.redacted_at
    FROM redacted
    WHERE
        conversations.organization_id = %(organization_id)s
        AND conversations.id = redacted.conversation_id
        AND conversations.last_message_id = redacted.id
        AND redacted.has_text
)

INSERT INTO conversation_counts AS counts (
    organization_id, phone_number_id, shard, opted_in_count, other_count, change_count
)
SELECT
    %(organization_id)s,
    number.id,
    %(shard)s,
    0,
    0,
    %(change_step)s
FROM unnest(%(phone_number_ids)s::uuid[]) AS number (id)
ORDER BY number.id
ON CONFLICT (organization_id, phone_number_id, shard) DO UPDATE
    SET change_count = counts.change_count + excluded.change_count
