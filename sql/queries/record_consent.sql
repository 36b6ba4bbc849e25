-- Moves the consent instants of conversations that upsert_conversations locked forward, counts, and
-- returns what is now on record.
-- Each instant is the latest of its kind, so events may arrive in any order. The join to `before`
-- returns what the update replaces.
WITH incoming AS (
    SELECT
        conversation_id(event.phone_number_id, event.contact_number) AS id,
        max(event.captured_at) FILTER (WHERE event.opted_in) AS opted_in_at,
        max(event.captured_at) FILTER (WHERE NOT event.opted_in) AS opted_out_at,
        statement_timestamp() AS now
    FROM
        json_to_recordset(%(events)s::json)
            AS event (
                phone_number_id uuid,
                contact_number text,
                opted_in boolean,
                captured_at timestamptz
            )
    GROUP BY event.phone_number_id, event.contact_number
),

updated AS (
    UPDATE conversations AS stored
    SET
        opted_in_at = greatest(stored.opted_in_at, incoming.opted_in_at),
        opted_out_at = greatest(stored.opted_out_at, incoming.opted_out_at),
        consent_updated_at = CASE
            WHEN
                greatest(stored.opted_in_at, incoming.opted_in_at)
                IS DISTINCT FROM stored.opted_in_at
                OR greatest(stored.opted_out_at, incoming.opted_out_at)
                IS DISTINCT FROM stored.opted_out_at
                THEN incoming.now
            ELSE stored.consent_updated_at
        END
    FROM incoming
    INNER JOIN conversations AS before
        ON
            before.organization_id = %(organization_id)s
            AND incoming.id = before.id
            -- An index condition, because a generic plan would hash the whole inbox for the join.
            AND before.id = any(array(SELECT incoming.id FROM incoming))
    WHERE
        stored.organization_id = %(organization_id)s
        AND stored.id = before.id
    RETURNING
        stored.phone_number_id,
        stored.phone_number,
        stored.contact_number,
        stored.opted_in,
        stored.opted_in_at,
        stored.opted_out_at,
        stored.consent_updated_at,
        stored.message_count > 0 AS is_listed,
        before.opted_in AS was_opted_in,
        before.consent_updated_at IS NOT NULL AND NOT before.opted_in AS was_opted_out
),

counted AS (
    INSERT INTO conversation_counts AS counts (
        organization_id,
        phone_number_id,
        shard,
        opted_in_count,
        other_count,
        change_count,
        opted_in_record_count,
        opted_out_record_count
    )
    SELECT
        %(organization_id)s,
        phone_number_id,
        %(shard)s,
        coalesce(sum(opted_in::integer - was_opted_in::integer) FILTER (WHERE is_listed), 0),
        coalesce(sum(was_opted_in::integer - opted_in::integer) FILTER (WHERE is_listed), 0),
        %(change_step)s,
        sum(opted_in::integer - was_opted_in::integer),
        sum((NOT opted_in)::integer - was_opted_out::integer)
    FROM updated
    GROUP BY phone_number_id
    ORDER BY phone_number_id
    ON CONFLICT (organization_id, phone_number_id, shard) DO UPDATE
        SET
            opted_in_count = counts.opted_in_count + excluded.opted_in_count,
            other_count = counts.other_count + excluded.other_count,
            change_count = counts.change_count + excluded.change_count,
            opted_in_record_count = counts.opted_in_record_count + excluded.opted_in_record_count,
            opted_out_record_count
            = counts.opted_out_record_count + excluded.opted_out_record_count
)

SELECT
    phone_number_id,
    phone_number,
    contact_number,
    opted_in,
    opted_in_at,
    opted_out_at,
    consent_updated_at AS updated_at
FROM updated
