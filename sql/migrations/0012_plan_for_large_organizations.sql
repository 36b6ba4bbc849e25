-- Lets statements be planned for a large organization beside many small ones. A statement that is
-- planned once takes each organization to have as many rows as any other. So the plans read all of
-- an organization's rows, which are few where most have few, and thousands of a large one. This
-- tells the planner to expect no more organizations than one; the plans that follow suit all.
ALTER TABLE phone_numbers ALTER COLUMN organization_id SET (n_distinct = 1);

ALTER TABLE conversations ALTER COLUMN organization_id SET (n_distinct = 1);

ALTER TABLE messages ALTER COLUMN organization_id SET (n_distinct = 1);

-- It counts from the next ANALYZE on.
ANALYZE phone_numbers, conversations, messages;
