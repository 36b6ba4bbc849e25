-- Lets statements be planned for a large organization beside many small ones. A statement that is
-- planned once takes each organization to have as many rows as any other. So the plans read all of
-- an organization's rows, which are few where most have few, and thousands of a large one. This
-- tells the planner to expect no more organizations than one; the plans that follow suit all.

-- On Citus each statement is planned for its organization, so the shards need none of this.
SELECT set_config('citus.enable_ddl_propagation', 'off', TRUE);

ALTER TABLE phone_numbers ALTER COLUMN organization_id SET (n_distinct = 1);

ALTER TABLE conversations ALTER COLUMN organization_id SET (n_distinct = 1);

ALTER TABLE messages ALTER COLUMN organization_id SET (n_distinct = 1);

-- It counts from the next ANALYZE on. One of empty tables would let each index look as good as any.
DO $$
BEGIN
    IF EXISTS (SELECT FROM conversations) THEN
        ANALYZE phone_numbers, conversations, messages;
    END IF;
END
$$;
