-- One row for each pair of phone number and contact: the consent on record and the summary of its
-- messages.

-- The id depends on the pair alone, so it survives a re-import, a rebuild and a restore.
CREATE FUNCTION conversation_id(phone_number_id uuid, contact_number text) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN encode(
    substring(sha256(uuid_send(phone_number_id) || decode(contact_number, 'escape')) FOR 16), 'hex'
)::uuid;

-- A message's body as list_conversations shows it. Null stays null.
CREATE FUNCTION preview(body text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN char_length(body) > 160 THEN left(body, 159) || '…' ELSE body END;

-- An instant as the API prints it: in UTC with Z, no fraction when it is zero, else six digits.
-- PL/pgSQL, as in conversation_item, because it keeps its plans from one statement to the next.
CREATE FUNCTION rfc3339(instant timestamptz) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN replace(
        to_char(instant AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z'
    );
END
$$;

CREATE FUNCTION is_opted_in(opted_in_at timestamptz, opted_out_at timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(opted_in_at > coalesce(opted_out_at, '-infinity'), FALSE);

-- A conversation as a row of list_conversations.
CREATE FUNCTION conversation_item(
    id uuid,
    phone_number_id uuid,
    phone_number text,
    contact_number text,
    last_message_at text,
    last_message_direction text,
    last_message_preview text,
    last_message_body_redacted_at text,
    message_count bigint,
    has_consent boolean,
    opted_in boolean,
    opted_in_at text
) RETURNS json
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN json_build_object(
        'id', rtrim(translate(encode(uuid_send(id), 'base64'), '+/', '-_'), '='),
        'phone_number_id', phone_number_id,
        'phone_number', phone_number,
        'contact_number', contact_number,
        'last_message_at', last_message_at,
        'last_message_direction', last_message_direction,
        'last_message_preview', CASE
            WHEN last_message_body_redacted_at IS NOT NULL THEN '[redacted]'
            ELSE coalesce(last_message_preview, '[media]')
        END,
        'last_message_body_redacted_at', last_message_body_redacted_at,
        'message_count', message_count,
        'consent', CASE
            WHEN has_consent
                THEN json_build_object('opted_in', opted_in, 'opted_in_at', opted_in_at)
        END
    );
END
$$;

CREATE TABLE conversations (
    organization_id uuid NOT NULL,
    id uuid NOT NULL GENERATED ALWAYS AS (conversation_id(phone_number_id, contact_number)) STORED,
    phone_number_id uuid NOT NULL,
    -- The number itself too: it never changes, and so no query has to look it up.
    phone_number text NOT NULL,
    contact_number text NOT NULL,
    -- Two instants rather than a state, so that events may arrive in any order.
    opted_in_at timestamptz,
    opted_out_at timestamptz,
    consent_updated_at timestamptz,
    opted_in boolean NOT NULL GENERATED ALWAYS AS (
        is_opted_in(opted_in_at, opted_out_at)
    ) STORED,
    -- The summary: of the message with the greatest (created_at, id). compute_summaries.sql defines
    -- what each of these columns must equal.
    last_message_at timestamptz,
    last_message_id uuid,
    last_message_direction text,
    last_message_preview text,
    last_message_body_redacted_at timestamptz,
    message_count bigint NOT NULL DEFAULT 0,
    -- The row as the list returns it, because a conversation is listed far more often than it
    -- changes. Null without messages. A new field in it rewrites the whole table.
    list_item json GENERATED ALWAYS AS (
        CASE
            WHEN message_count > 0
                THEN conversation_item(
                    conversation_id(phone_number_id, contact_number),
                    phone_number_id,
                    phone_number,
                    contact_number,
                    rfc3339(last_message_at),
                    last_message_direction,
                    last_message_preview,
                    rfc3339(last_message_body_redacted_at),
                    message_count,
                    num_nonnulls(opted_in_at, opted_out_at) > 0,
                    is_opted_in(opted_in_at, opted_out_at),
                    rfc3339(opted_in_at)
                )
        END
    ) STORED,
    CONSTRAINT conversations_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT conversations_phone_number_fkey FOREIGN KEY (
        organization_id, phone_number_id, phone_number
    ) REFERENCES phone_numbers (organization_id, id, number),
    -- E.164, a short code, or an alphanumeric sender ID.
    CONSTRAINT contact_number_is_well_formed CHECK (
        contact_number
        ~ '^(\+[1-9][0-9]{1,14}|[1-9][0-9]{2,7}|[A-Za-z][0-9A-Za-z _.&-]{0,9}[0-9A-Za-z_.&-])$'
    ),
    CONSTRAINT summary_is_whole CHECK (
        (message_count = 0)
        = (num_nonnulls(last_message_at, last_message_id, last_message_direction) = 0)
        AND num_nonnulls(last_message_at, last_message_id, last_message_direction) IN (0, 3)
    ),
    CONSTRAINT redacted_body_has_no_preview CHECK (
        last_message_preview IS NULL OR last_message_body_redacted_at IS NULL
    )
)
-- Most updates move last_message_at. Free room on each page keeps the new version on the same page.
WITH (fillfactor = 90);

COMMENT ON COLUMN conversations.last_message_preview
IS 'what list_conversations shows of the body; null when it was removed or there was no text';

-- ANALYZE copies sample values into pg_statistic, where they would outlive redaction. No query
-- compares these columns, so no plan misses the statistics.
ALTER TABLE conversations
ALTER COLUMN last_message_preview SET STATISTICS 0,
ALTER COLUMN list_item SET STATISTICS 0;

-- A statement that is planned once for all values takes each value of a column to be as frequent as
-- any other. In an inbox with one number, or where nobody has opted in, ANALYZE finds one value, so
-- the lists of a second number, and of the opted in, would read the whole inbox. This tells the
-- planner how many values to expect.
ALTER TABLE conversations
ALTER COLUMN opted_in SET (n_distinct = 2),
ALTER COLUMN phone_number_id SET (n_distinct = 10);

-- list_conversations without a filter, and with since.
CREATE INDEX conversations_newest_first
ON conversations (organization_id, last_message_at, id);

-- list_conversations with phone_number_id.
CREATE INDEX conversations_of_phone_number
ON conversations (organization_id, phone_number_id, last_message_at, id);

-- list_conversations with opted_in.
CREATE INDEX conversations_by_consent
ON conversations (organization_id, opted_in, last_message_at, id);

-- list_conversations with phone_number_id and opted_in.
CREATE INDEX conversations_of_phone_number_by_consent
ON conversations (organization_id, phone_number_id, opted_in, last_message_at, id);

-- list_conversations with contact_number, and erase-contact.
CREATE INDEX conversations_with_contact
ON conversations (organization_id, contact_number, phone_number_id);

-- list_consent with every filter but contact_number. It holds what the other filters compare, so
-- that a record that does not match costs no look at its row.
CREATE INDEX conversations_with_consent
ON conversations (organization_id, consent_updated_at, id)
INCLUDE (phone_number_id, opted_in)
WHERE consent_updated_at IS NOT NULL;
