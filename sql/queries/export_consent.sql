-- The consent on record of an organization as the events that lead to it: the latest opt-in and the
-- latest opt-out of each pair of phone number and contact. import-consent takes them in any order.
SELECT
    phone_number_id,
    contact_number,
    TRUE AS opted_in,
    opted_in_at AS captured_at
FROM conversations
WHERE
    organization_id = %(organization_id)s
    AND opted_in_at IS NOT NULL
UNION ALL
SELECT
    phone_number_id,
    contact_number,
    FALSE AS opted_in,
    opted_out_at AS captured_at
FROM conversations
WHERE
    organization_id = %(organization_id)s
    AND opted_out_at IS NOT NULL
ORDER BY contact_number, phone_number_id, captured_at
