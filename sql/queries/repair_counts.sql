-- Adds to the counts of a phone number what they lack. The change count grows too, because clients
-- saw a wrong total.
INSERT INTO conversation_counts AS counts (
    organization_id,
    phone_number_id,
    shard,
    opted_in_count,
    other_count,
    opted_in_record_count,
    opted_out_record_count,
    change_count
)
VALUES (
    %(organization_id)s,
    %(phone_number_id)s,
    %(shard)s,
    %(opted_in_count)s,
    %(other_count)s,
    %(opted_in_record_count)s,
    %(opted_out_record_count)s,
    %(change_step)s
)
ON CONFLICT (organization_id, phone_number_id, shard) DO UPDATE
    SET
        opted_in_count = counts.opted_in_count + excluded.opted_in_count,
        other_count = counts.other_count + excluded.other_count,
        opted_in_record_count = counts.opted_in_record_count + excluded.opted_in_record_count,
        opted_out_record_count = counts.opted_out_record_count + excluded.opted_out_record_count,
        change_count = counts.change_count + excluded.change_count
