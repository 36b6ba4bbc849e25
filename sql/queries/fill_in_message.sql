-- Gives a stored message the text and the media addresses that it lacks, unless they were removed
-- here, and its conversation the preview if it is the last message. Returns a consent event for
-- each keyword that the message then has.
-- A carrier reports a message in two ways, and each may lack what the other has. One message a
-- statement, so that it locks the message before the conversation and that before the counts, in
-- the order of every writer.
WITH given AS (
    SELECT *
    FROM
        json_to_record(%(message)s::json)
            AS message (
                id uuid,
                phone_number_id uuid,
                phone_number text,
                contact_number text,
                body text,
                media_urls text[],
                verdicts boolean[]
            )
),

filled AS (
    UPDATE messages
    SET
        body = coalesce(nullif(messages.body, ''), given.body, messages.body),
        has_text = messages.has_text OR given.body IS NOT NULL,
        channel = CASE WHEN given.media_urls <> '{}' THEN 'mms' ELSE messages.channel END,
        media_urls = CASE
            WHEN messages.media_urls = '{}' THEN coalesce(given.media_urls, '{}')
            ELSE messages.media_urls
        END
    FROM given
    WHERE
        messages.organization_id = %(organization_id)s
        AND messages.id = given.id
        AND messages.redacted_at IS NULL
    RETURNING messages.id, messages.conversation_id, messages.body, messages.created_at
),

updated AS (
    UPDATE conversations
    SET
        last_message_preview = CASE
            WHEN conversations.last_message_id = filled.id THEN preview(filled.body)
            ELSE conversations.last_message_preview
        END
    FROM filled
    WHERE
        conversations.organization_id = %(organization_id)s
        AND conversations.id = filled.conversation_id
),

counted AS (
    INSERT INTO conversation_counts AS counts (
        organization_id, counted_id, shard, opted_in_count, other_count, change_count
    )
    SELECT
        %(organization_id)s,
        '00000000-0000-0000-0000-000000000000',
        %(shard)s,
        0,
        0,
        %(change_step)s
    FROM filled
    ON CONFLICT (organization_id, counted_id, shard) DO UPDATE
        SET change_count = counts.change_count + excluded.change_count
)

SELECT
    given.phone_number_id,
    given.phone_number,
    given.contact_number,
    verdict.opted_in,
    filled.created_at AS captured_at
FROM given
INNER JOIN filled ON given.id = filled.id
CROSS JOIN LATERAL unnest(given.verdicts) AS verdict (opted_in)
