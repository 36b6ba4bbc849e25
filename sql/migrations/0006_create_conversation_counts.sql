-- The exact totals behind meta.total, and the change count behind ETag, kept by every statement
-- that changes what a list shows: so neither costs a scan. The rows of a phone number stay when it
-- is deleted, because the change count of the organization must never fall back to one that a
-- client has seen. The count of a phone number is the sum
-- over its shards. Each connection writes to one shard, because writers that all waited for one row
-- would commit one after the other. The change count grows by random steps, because a restored
-- backup would otherwise lead to a count, and so to an ETag, that a client has seen before for
-- something else.
CREATE TABLE conversation_counts (
    organization_id uuid NOT NULL,
    phone_number_id uuid NOT NULL,
    shard smallint NOT NULL,
    opted_in_count bigint NOT NULL,
    other_count bigint NOT NULL,
    change_count bigint NOT NULL,
    opted_in_record_count bigint NOT NULL DEFAULT 0,
    opted_out_record_count bigint NOT NULL DEFAULT 0,
    CONSTRAINT conversation_counts_pkey PRIMARY KEY (organization_id, phone_number_id, shard),
    CONSTRAINT conversation_counts_organization_fkey FOREIGN KEY (
        organization_id
    ) REFERENCES organizations (id)
)
WITH (fillfactor = 50);

COMMENT ON COLUMN conversation_counts.opted_in_count
IS 'conversations with messages whose contact is opted in';
COMMENT ON COLUMN conversation_counts.other_count
IS 'conversations with messages of all other contacts';
COMMENT ON COLUMN conversation_counts.opted_in_record_count
IS 'consent records that say opted in, with or without messages';
COMMENT ON COLUMN conversation_counts.opted_out_record_count
IS 'consent records that do not say opted in, with or without messages';
COMMENT ON COLUMN conversation_counts.change_count
IS 'grows by a random step with each change that a list shows';
