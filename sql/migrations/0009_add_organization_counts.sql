-- Gives each organization counts of its own, so that no request adds up its phone numbers: rows of
-- conversation_counts whose counted_id is nil, also spread over shards. The change count is counted
-- there alone. The column had another name, so that a version that would take these rows for those
-- of a phone number is refused and does not show a wrong total. The phone numbers are counted too.
ALTER TABLE conversation_counts RENAME COLUMN phone_number_id TO counted_id;

COMMENT ON COLUMN conversation_counts.counted_id
IS 'a phone number, or the nil UUID for all of the organization together';

COMMENT ON COLUMN conversation_counts.change_count
IS 'of the organization: grows by a random step with each change that a list shows; else 0';

ALTER TABLE conversation_counts ADD COLUMN phone_number_count bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN conversation_counts.phone_number_count
IS 'phone numbers of the organization; else 0';

-- The id of a phone number is never that of the organization's own counts.
ALTER TABLE phone_numbers
ADD CONSTRAINT id_is_not_nil CHECK (id <> '00000000-0000-0000-0000-000000000000');

INSERT INTO conversation_counts (
    organization_id,
    counted_id,
    shard,
    opted_in_count,
    other_count,
    change_count,
    opted_in_record_count,
    opted_out_record_count
)
SELECT
    organization_id,
    '00000000-0000-0000-0000-000000000000' AS counted_id,
    shard,
    sum(opted_in_count) AS opted_in_count,
    sum(other_count) AS other_count,
    sum(change_count) AS change_count,
    sum(opted_in_record_count) AS opted_in_record_count,
    sum(opted_out_record_count) AS opted_out_record_count
FROM conversation_counts
GROUP BY organization_id, shard;

INSERT INTO conversation_counts (
    organization_id,
    counted_id,
    shard,
    opted_in_count,
    other_count,
    change_count,
    phone_number_count
)
SELECT
    organization_id,
    '00000000-0000-0000-0000-000000000000' AS counted_id,
    0 AS shard,
    0 AS opted_in_count,
    0 AS other_count,
    0 AS change_count,
    count(*) AS phone_number_count
FROM phone_numbers
GROUP BY organization_id
ON CONFLICT (organization_id, counted_id, shard) DO UPDATE
    SET phone_number_count = excluded.phone_number_count;

-- A phone number without conversations and consent, such as a deleted one, needs no counts.
DELETE FROM conversation_counts
WHERE
    counted_id <> '00000000-0000-0000-0000-000000000000'
    AND opted_in_count = 0
    AND other_count = 0
    AND opted_in_record_count = 0
    AND opted_out_record_count = 0;

UPDATE conversation_counts
SET change_count = 0
WHERE counted_id <> '00000000-0000-0000-0000-000000000000';

ALTER TABLE conversation_counts
ADD CONSTRAINT changes_and_numbers_are_of_the_organization CHECK (
    (change_count = 0 AND phone_number_count = 0)
    OR counted_id = '00000000-0000-0000-0000-000000000000'
);
