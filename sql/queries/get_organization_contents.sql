-- How much an organization owns. delete-organization says it before it deletes anything.
SELECT
    (
        SELECT count(*)
        FROM phone_numbers
        WHERE organization_id = %(organization_id)s
    ) AS phone_numbers,
    (
        SELECT count(*)
        FROM conversations
        WHERE organization_id = %(organization_id)s
    ) AS conversations,
    (
        SELECT coalesce(sum(message_count), 0)::bigint
        FROM conversations
        WHERE organization_id = %(organization_id)s
    ) AS messages,
    (
        SELECT count(*)
        FROM api_keys
        WHERE organization_id = %(organization_id)s
    ) AS api_keys
