-- What meta.total and ETag are read from: the statements that change conversations keep it, so
-- neither costs a scan. A number's count is the sum over its slots. Each connection writes to a
-- slot of its own, because writers that all waited for one row would commit one after the other.
CREATE TABLE conversation_counts (
    organization_id uuid NOT NULL,
    phone_number_id uuid NOT NULL,
    slot smallint NOT NULL,
    opted_in_count bigint NOT NULL,
    other_count bigint NOT NULL,
    change_count bigint NOT NULL,
    CONSTRAINT conversation_counts_pkey PRIMARY KEY (organization_id, phone_number_id, slot),
    CONSTRAINT conversation_counts_phone_number_fkey FOREIGN KEY (organization_id, phone_number_id)
    REFERENCES phone_numbers (organization_id, id)
)
WITH (fillfactor = 50);

COMMENT ON COLUMN conversation_counts.opted_in_count
IS 'listed conversations whose contact is opted in';
COMMENT ON COLUMN conversation_counts.other_count IS 'listed conversations of everybody else';
COMMENT ON COLUMN conversation_counts.change_count
IS 'grows with each change that can be seen, by random steps';
