-- One row about the whole deployment, all organizations (each organization_id) together. Messages
-- are counted by the summaries, because there are far fewer of these. The oldest message is found
-- by phone number, because a distributed PostgreSQL refuses the same by organization.
SELECT
    current_setting('server_version') AS server_version,
    current_setting('max_connections')::integer AS max_connections,
    (
        SELECT count(*)
        FROM pg_stat_activity
        WHERE backend_type = 'client backend'
    ) AS connections,
    pg_database_size(current_database()) AS database_bytes,
    (
        SELECT count(*)
        FROM organizations
    ) AS organizations,
    (
        SELECT coalesce(sum(opted_in_count + other_count), 0)::bigint
        FROM conversation_counts
    ) AS conversations,
    (
        SELECT coalesce(sum(message_count), 0)::bigint
        FROM conversations
    ) AS messages,
    (
        SELECT min(oldest.created_at)
        FROM phone_numbers
        CROSS JOIN LATERAL (
            SELECT min(messages.created_at) AS created_at
            FROM messages
            WHERE
                messages.organization_id = phone_numbers.organization_id
                AND (messages.body IS NOT NULL OR messages.media_urls <> '{}')
        ) AS oldest
    ) AS oldest_readable_at
