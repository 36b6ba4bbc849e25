-- Adds to the counts of a phone number, or of the organization (nil), what they lack. The change
-- count grows too, because clients saw a wrong total.
WITH lacking AS (
    SELECT
        %(counted_id)s::uuid AS counted_id,
        %(opted_in_count)s::bigint AS opted_in_count,
        %(other_count)s::bigint AS other_count,
        %(opted_in_record_count)s::bigint AS opted_in_record_count,
        %(opted_out_record_count)s::bigint AS opted_out_record_count,
        %(phone_number_count)s::bigint AS phone_number_count,
        0 AS change_step
    UNION ALL
    SELECT
        '00000000-0000-0000-0000-000000000000',
        0,
        0,
        0,
        0,
        0,
        %(change_step)s
)

INSERT INTO conversation_counts AS counts (
    organization_id,
    counted_id,
    shard,
    opted_in_count,
    other_count,
    opted_in_record_count,
    opted_out_record_count,
    phone_number_count,
    change_count
)
SELECT
    %(organization_id)s,
    counted_id,
    %(shard)s,
    sum(opted_in_count),
    sum(other_count),
    sum(opted_in_record_count),
    sum(opted_out_record_count),
    sum(phone_number_count),
    sum(change_step)
FROM lacking
GROUP BY counted_id
ON CONFLICT (organization_id, counted_id, shard) DO UPDATE
    SET
        opted_in_count = counts.opted_in_count + excluded.opted_in_count,
        other_count = counts.other_count + excluded.other_count,
        opted_in_record_count = counts.opted_in_record_count + excluded.opted_in_record_count,
        opted_out_record_count = counts.opted_out_record_count + excluded.opted_out_record_count,
        phone_number_count = counts.phone_number_count + excluded.phone_number_count,
        change_count = counts.change_count + excluded.change_count
