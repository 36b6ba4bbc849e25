-- Removes bodies and media of messages, and the preview of each conversation whose last message is
-- among them, and counts the change. The instant of removal is now unless one is given.
-- One statement, so that no copy of a removed body is left.
WITH clock AS (
    SELECT coalesce(%(redacted_at)s::timestamptz, statement_timestamp()) AS now
),

redacted AS (
    UPDATE messages
    SET
        body = NULL,
        media_urls = '{}',
        redacted_at = clock.now
    FROM clock
    WHERE
        messages.organization_id = %(organization_id)s
        AND messages.id = any(%(ids)s::uuid[])
    RETURNING messages.id, messages.conversation_id, messages.has_text, messages.redacted_at
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
    organization_id, counted_id, shard, opted_in_count, other_count, change_count
)
VALUES (
    %(organization_id)s,
    '00000000-0000-0000-0000-000000000000',
    %(shard)s,
    0,
    0,
    %(change_step)s
)
ON CONFLICT (organization_id, counted_id, shard) DO UPDATE
    SET change_count = counts.change_count + excluded.change_count
