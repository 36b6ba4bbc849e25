-- Every message that was sent or received. The numbers are stored in its conversation only.
CREATE TABLE messages (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    direction text NOT NULL,
    channel text NOT NULL,
    body text,
    media_urls text[] NOT NULL,
    -- Kept after redaction, because a picture without text is listed as [media], a removed text as
    -- [redacted].
    has_text boolean NOT NULL,
    segment_count smallint,
    created_at timestamptz NOT NULL,
    redacted_at timestamptz,
    CONSTRAINT messages_pkey PRIMARY KEY (organization_id, id),
    -- Deferred, because record_messages stores a message before its conversation.
    CONSTRAINT messages_conversation_fkey FOREIGN KEY (organization_id, conversation_id)
    REFERENCES conversations (organization_id, id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT direction_is_known CHECK (direction IN ('inbound', 'outbound')),
    CONSTRAINT channel_is_known CHECK (channel IN ('sms', 'mms')),
    CONSTRAINT segment_count_is_positive CHECK (segment_count > 0),
    CONSTRAINT redacted_message_is_empty CHECK (
        redacted_at IS NULL OR (body IS NULL AND media_urls = '{}')
    )
);

-- ANALYZE copies sample values into pg_statistic, where they would outlive redaction. No query
-- compares these columns, so no plan misses the statistics.
ALTER TABLE messages
ALTER COLUMN body SET STATISTICS 0,
ALTER COLUMN media_urls SET STATISTICS 0;

-- list_messages and compute_summaries.
CREATE INDEX messages_of_conversation
ON messages (organization_id, conversation_id, created_at, id);

-- lock_expired_messages and get_retention. It holds only what can still be read, so a retention run
-- with nothing to do reads one page.
CREATE INDEX messages_readable
ON messages (organization_id, created_at)
WHERE body IS NOT NULL OR media_urls <> '{}';
