-- Records consent events whose conversations upsert_conversations has locked. Returns for each
-- event, in order, what is then on record, and whether the event is news: later than all of its
-- kind before it.
-- Each instant on record is the latest of its kind, so events may arrive in any order. The join to
-- `before` returns what the update replaces.
WITH event AS (
    SELECT
        conversation_id(given.phone_number_id, given.contact_number) AS id,
        given.opted_in,
        coalesce(given.captured_at, statement_timestamp()) AS captured_at,
        statement_timestamp() AS now,
        row_number() OVER () AS place
    FROM
        json_to_recordset(%(events)s::json)
            AS given (
                phone_number_id uuid,
                contact_number text,
                opted_in boolean,
                captured_at timestamptz
            )
),

incoming AS (
    SELECT
        id,
        max(captured_at) FILTER (WHERE opted_in) AS opted_in_at,
        max(captured_at) FILTER (WHERE NOT opted_in) AS opted_out_at,
        max(now) AS now
    FROM event
    GROUP BY id
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
        stored.id,
        stored.phone_number_id,
        stored.phone_number,
        stored.contact_number,
        stored.opted_in,
        stored.opted_in_at,
        stored.opted_out_at,
        stored.consent_updated_at,
        stored.message_count,
        before.opted_in_at AS opted_in_before,
        before.opted_out_at AS opted_out_before,
        stored.opted_in::integer - before.opted_in::integer AS opted_in_added,
        (NOT stored.opted_in)::integer
        - (before.consent_updated_at IS NOT NULL AND NOT before.opted_in)::integer
            AS opted_out_added
),

counted AS (
    INSERT INTO conversation_counts AS counts (
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
        %(organization_id)s,
        coalesce(phone_number_id, '00000000-0000-0000-0000-000000000000') AS counted_id,
        %(shard)s,
        coalesce(sum(opted_in_added) FILTER (WHERE message_count > 0), 0),
        coalesce(sum(-opted_in_added) FILTER (WHERE message_count > 0), 0),
        CASE WHEN phone_number_id IS NULL THEN %(change_step)s ELSE 0 END,
        sum(opted_in_added),
        sum(opted_out_added)
    FROM updated
    GROUP BY GROUPING SETS ((), (phone_number_id))
    HAVING
        count(*) > 0
        AND (phone_number_id IS NULL OR bool_or(opted_in_added <> 0 OR opted_out_added <> 0))
    ORDER BY counted_id
    ON CONFLICT (organization_id, counted_id, shard) DO UPDATE
        SET
            opted_in_count = counts.opted_in_count + excluded.opted_in_count,
            other_count = counts.other_count + excluded.other_count,
            change_count = counts.change_count + excluded.change_count,
            opted_in_record_count = counts.opted_in_record_count + excluded.opted_in_record_count,
            opted_out_record_count
            = counts.opted_out_record_count + excluded.opted_out_record_count
)

SELECT
    updated.phone_number_id,
    updated.phone_number,
    updated.contact_number,
    updated.opted_in,
    updated.opted_in_at,
    updated.opted_out_at,
    updated.consent_updated_at AS updated_at,
    coalesce(
        event.captured_at > greatest(
            CASE
                WHEN event.opted_in THEN updated.opted_in_before
                ELSE updated.opted_out_before
            END,
            max(event.captured_at) OVER (
                PARTITION BY event.id, event.opted_in
                ORDER BY event.place
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            )
        ),
        TRUE
    ) AS is_news
FROM event
INNER JOIN updated ON event.id = updated.id
ORDER BY event.place
