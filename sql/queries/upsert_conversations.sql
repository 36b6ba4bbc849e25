-- Creates the conversations of consent events that have none yet, and locks all of them, for
-- record_consent, which follows in the same transaction.
-- Consent may come before the first message; a conversation without messages is not listed. The
-- update changes nothing: unlike DO NOTHING it locks the row.
INSERT INTO conversations AS stored (
    organization_id, id, phone_number_id, phone_number, contact_number
)
SELECT DISTINCT
    %(organization_id)s::uuid AS organization_id,
    conversation_id(incoming.phone_number_id, incoming.contact_number) AS id,
    incoming.phone_number_id,
    incoming.phone_number,
    incoming.contact_number
FROM
    json_to_recordset(%(events)s::json)
        AS incoming (phone_number_id uuid, phone_number text, contact_number text)
ORDER BY incoming.phone_number_id, incoming.contact_number
ON CONFLICT (organization_id, id) DO UPDATE
    SET contact_number = excluded.contact_number
