-- The phone numbers whose counts differ from their conversations: what the counts must equal, and
-- what they are. check-conversations reports and repairs these.
WITH computed AS (
    SELECT
        phone_number_id,
        count(*) FILTER (WHERE opted_in) AS opted_in_count,
        count(*) FILTER (WHERE NOT opted_in) AS other_count
    FROM conversations
    WHERE
        organization_id = %(organization_id)s
        AND message_count > 0
    GROUP BY phone_number_id
),

stored AS (
    SELECT
        phone_number_id,
        sum(opted_in_count)::bigint AS opted_in_count,
        sum(other_count)::bigint AS other_count
    FROM conversation_counts
    WHERE organization_id = %(organization_id)s
    GROUP BY phone_number_id
)

SELECT
    phone_number_id,
    coalesce(computed.opted_in_count, 0) AS opted_in_count,
    coalesce(computed.other_count, 0) AS other_count,
    coalesce(stored.opted_in_count, 0) AS stored_opted_in_count,
    coalesce(stored.other_count, 0) AS stored_other_count
FROM computed
FULL JOIN stored USING (phone_number_id)
WHERE
    (coalesce(computed.opted_in_count, 0), coalesce(computed.other_count, 0))
    <> (coalesce(stored.opted_in_count, 0), coalesce(stored.other_count, 0))
ORDER BY phone_number_id
