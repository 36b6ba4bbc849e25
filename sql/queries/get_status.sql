-- One row about the whole deployment, all organizations (each organization_id) together. A table of
-- estimated_from rows or more is not counted: what is shown of it is PostgreSQL's own estimate. The
-- oldest message is found by phone number, because a distributed PostgreSQL refuses the same by
-- organization, and only while there are few numbers.
WITH estimates AS (
    SELECT
        max(reltuples) FILTER (WHERE oid = 'organizations'::regclass) AS organizations,
        max(reltuples) FILTER (WHERE oid = 'phone_numbers'::regclass) AS phone_numbers,
        max(reltuples) FILTER (WHERE oid = 'conversations'::regclass) AS conversations,
        max(reltuples) FILTER (WHERE oid = 'messages'::regclass) AS messages
    FROM pg_class
    WHERE
        oid IN (
            'organizations'::regclass,
            'phone_numbers'::regclass,
            'conversations'::regclass,
            'messages'::regclass
        )
)

SELECT
    current_setting('server_version') AS server_version,
    current_setting('max_connections')::integer AS max_connections,
    (
        SELECT count(*)
        FROM pg_stat_activity
        WHERE backend_type = 'client backend'
    ) AS connections,
    pg_database_size(current_database()) AS database_bytes,
    CASE
        WHEN organizations >= %(estimated_from)s THEN organizations::bigint
        ELSE (SELECT count(*) FROM organizations)
    END AS organizations,
    CASE
        WHEN conversations >= %(estimated_from)s THEN conversations::bigint
        ELSE (
            SELECT count(*)
            FROM conversations
            WHERE last_message_at IS NOT NULL
        )
    END AS conversations,
    CASE
        WHEN messages >= %(estimated_from)s THEN messages::bigint
        ELSE (SELECT count(*) FROM messages)
    END AS messages,
    phone_numbers < %(estimated_from)s AS has_few_numbers,
    CASE
        WHEN phone_numbers < %(estimated_from)s
            THEN (
                SELECT min(oldest.created_at)
                FROM phone_numbers
                CROSS JOIN LATERAL (
                    SELECT min(messages.created_at) AS created_at
                    FROM messages
                    WHERE
                        messages.organization_id = phone_numbers.organization_id
                        AND (messages.body IS NOT NULL OR messages.media_urls <> '{}')
                ) AS oldest
            )
    END AS oldest_readable_at
FROM estimates
