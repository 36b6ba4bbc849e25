-- Moves the consent instants of locked conversations forward and returns what is now on record.
WITH incoming AS (
    SELECT
        event.phone_number_id,
        event.contact_number,
        max(event.captured_at) FILTER (WHERE event.opted_in) AS opted_in_at,
        max(event.captured_at) FILTER (WHERE NOT event.opted_in) AS opted_out_at
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
                greatest(
                    stored.opted_in_at, incoming.opted_in_at
                ) IS DISTINCT FROM stored.opted_in_at
                OR greatest(
                    stored.opted_out_at, incoming.opted_out_at
                ) IS DISTINCT FROM stored.opted_out_at
                THEN clock_timestamp()
            ELSE stored.consent_updated_at
        END
    FROM incoming
    WHERE
        stored.organization_id = %(organization_id)s
        AND stored.id = conversation_id(incoming.phone_number_id, incoming.contact_number)
    RETURNING
        stored.id,
        stored.phone_number_id,
        stored.phone_number,
        stored.contact_number,
        stored.opted_in,
        stored.opted_in_at,
        stored.opted_out_at,
        stored.consent_updated_at,
        stored.message_count
),

counted AS (
    INSERT INTO conversation_counts AS counts (
        organization_id, phone_number_id, slot, opted_in_count, other_count, change_count
    )
    SELECT
        %(organization_id)s,
        updated.phone_number_id,
        %(slot)s,
        coalesce(
            sum(updated.opted_in::integer - before.opted_in::integer) FILTER (
                WHERE before.message_count > 0
            ),
            0
        ),
        coalesce(
            sum(before.opted_in::integer - updated.opted_in::integer) FILTER (
                WHERE before.message_count > 0
            ),
            0
        ),
        %(step)s
    FROM updated
    -- The statement's own update is invisible here: this is the row as it was.
    INNER JOIN conversations AS before
        ON
            before.organization_id = %(organization_id)s
            AND updated.id = before.id
    GROUP BY updated.phone_number_id
    ORDER BY updated.phone_number_id
    ON CONFLICT (organization_id, phone_number_id, slot) DO UPDATE
        SET
            opted_in_count = counts.opted_in_count + excluded.opted_in_count,
            other_count = counts.other_count + excluded.other_count,
            change_count = counts.change_count + excluded.change_count
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
