-- The phone numbers, and the organization as a whole (nil), whose counts differ from their
-- conversations and phone numbers: what the counts must equal, and what they are.
-- check-conversations reports and repairs these.
WITH computed AS (
    SELECT
        coalesce(phone_number_id, '00000000-0000-0000-0000-000000000000') AS counted_id,
        count(*) FILTER (WHERE message_count > 0 AND opted_in) AS opted_in_count,
        count(*) FILTER (WHERE message_count > 0 AND NOT opted_in) AS other_count,
        count(*) FILTER (WHERE consent_updated_at IS NOT NULL AND opted_in)
            AS opted_in_record_count,
        count(*) FILTER (WHERE consent_updated_at IS NOT NULL AND NOT opted_in)
            AS opted_out_record_count,
        CASE
            WHEN phone_number_id IS NULL
                THEN (
                    SELECT count(*)
                    FROM phone_numbers
                    WHERE organization_id = %(organization_id)s
                )
            ELSE 0
        END AS phone_number_count
    FROM conversations
    WHERE organization_id = %(organization_id)s
    GROUP BY GROUPING SETS ((), (phone_number_id))
),

stored AS (
    SELECT
        counted_id,
        sum(opted_in_count)::bigint AS opted_in_count,
        sum(other_count)::bigint AS other_count,
        sum(opted_in_record_count)::bigint AS opted_in_record_count,
        sum(opted_out_record_count)::bigint AS opted_out_record_count,
        sum(phone_number_count)::bigint AS phone_number_count
    FROM conversation_counts
    WHERE organization_id = %(organization_id)s
    GROUP BY counted_id
),

compared AS (
    SELECT
        counted_id,
        ARRAY[
            coalesce(computed.opted_in_count, 0),
            coalesce(computed.other_count, 0),
            coalesce(computed.opted_in_record_count, 0),
            coalesce(computed.opted_out_record_count, 0),
            coalesce(computed.phone_number_count, 0)
        ] AS computed_counts,
        ARRAY[
            coalesce(stored.opted_in_count, 0),
            coalesce(stored.other_count, 0),
            coalesce(stored.opted_in_record_count, 0),
            coalesce(stored.opted_out_record_count, 0),
            coalesce(stored.phone_number_count, 0)
        ] AS stored_counts
    FROM computed
    FULL JOIN stored USING (counted_id)
)

SELECT
    compared.counted_id,
    phone_numbers.number,
    compared.computed_counts,
    compared.stored_counts
FROM compared
LEFT JOIN phone_numbers
    ON
        phone_numbers.organization_id = %(organization_id)s
        AND compared.counted_id = phone_numbers.id
WHERE compared.computed_counts <> compared.stored_counts
ORDER BY compared.counted_id
