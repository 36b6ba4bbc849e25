-- Adds what is missing to a number's counts, and a step to its changes: a repair can be seen.
INSERT INTO conversation_counts AS counts (
    organization_id, phone_number_id, slot, opted_in_count, other_count, change_count
)
VALUES (
    %(organization_id)s,
    %(phone_number_id)s,
    %(slot)s,
    %(opted_in_count)s,
    %(other_count)s,
    %(step)s
)
ON CONFLICT (organization_id, phone_number_id, slot) DO UPDATE
    SET
        opted_in_count = counts.opted_in_count + excluded.opted_in_count,
        other_count = counts.other_count + excluded.other_count,
        change_count = counts.change_count + excluded.change_count
