-- The ids of the conversations with one contact, on any number, and the clock: an erasure of all of
-- them has one instant.
SELECT
    id,
    statement_timestamp() AS now
FROM conversations
WHERE
    organization_id = %(organization_id)s
    AND contact_number = %(contact_number)s
