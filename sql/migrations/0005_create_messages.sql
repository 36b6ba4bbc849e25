-- Every message sent or received. The numbers live on the conversation only.
CREATE TABLE messages (
    organization_id uuid NOT NULL,
    id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    direction text NOT NULL,
    channel text NOT NULL,
    body text,
    media_urls text[] NOT NULL,
    -- Kept after redaction: a picture without text lists as [media], a removed text as [redacted].
    has_text boolean NOT NULL,
    segment_count smallint,
    created_at timestamptz NOT NULL,
    redacted_at timestamptz,
    CONSTRAINT messages_pkey PRIMARY KEY (organization_id, id),
    -- Deferred: create_messages comes first and tells update_conversations which messages are new.
    CONSTRAINT messages_conversation_fkey FOREIGN KEY (organization_id, conversation_id)
    REFERENCES conversations (organization_id, id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT direction_is_known CHECK (direction IN ('inbound', 'outbound')),
    CONSTRAINT channel_is_known CHECK (channel IN ('sms', 'mms')),
    CONSTRAINT segment_count_is_positive CHECK (segment_count > 0),
    CONSTRAINT redacted_message_is_empty CHECK (
        redacted_at IS NULL OR (body IS NULL AND media_urls = '{}')
    )
);

-- Not into pg_statistic, where samples would outlive redaction; no query compares these columns.
ALTER TABLE messages
ALTER COLUMN body SET STATISTICS 0,
ALTER COLUMN media_urls SET STATISTICS 0;

-- list_messages and rebuild_conversations.
CREATE INDEX messages_of_conversation
ON messages (organization_id, conversation_id, created_at, id);

-- find_expired_messages: holds what can still be read, so a sweep with nothing to do touches one
-- page.
CREATE INDEX messages_readable
ON messages (organization_id, created_at)
WHERE body IS NOT NULL OR media_urls <> '{}';
