-- An inbox of any size, the same each time: 10 messages a conversation on average (one conversation
-- in 50 has 255, the others 5), spread over time as traffic is, so that neither the heap nor an
-- index holds a conversation's messages together. The summaries are what compute_summaries says.
CREATE TEMPORARY TABLE pairs AS
SELECT
    c.c,
    conversation_id(numbers.id, contacts.number) AS id,
    numbers.id AS phone_number_id,
    numbers.number AS phone_number,
    contacts.number AS contact_number
FROM generate_series(0, %(conversations)s::integer - 1) AS c (c)
-- Every contact texts with two of the four numbers.
CROSS JOIN LATERAL (SELECT '+1555' || lpad((c.c / 2)::text, 7, '0') AS number) AS contacts
INNER JOIN (
    SELECT
        id,
        number,
        row_number() OVER (ORDER BY number) - 1 AS n
    FROM phone_numbers
    WHERE organization_id = %(organization_id)s
) AS numbers ON numbers.n = c.c %% 2 + 2 * (c.c / 2 %% 2);

CREATE UNIQUE INDEX pairs_c ON pairs (c) INCLUDE (id);

ANALYZE pairs;

INSERT INTO messages (
    organization_id,
    id,
    conversation_id,
    direction,
    channel,
    body,
    media_urls,
    has_text,
    segment_count,
    created_at,
    redacted_at
)
SELECT
    %(organization_id)s,
    (lpad(to_hex(m.m), 12, '0') || '7000' || '8000' || substr(md5(m.m::text), 1, 12))::uuid,
    pairs.id,
    CASE WHEN m.m %% 3 = 0 THEN 'outbound' ELSE 'inbound' END,
    CASE WHEN m.m %% 97 = 0 THEN 'mms' ELSE 'sms' END,
    CASE
        WHEN m.m < %(conversations)s OR m.m %% 97 = 0 THEN NULL
        WHEN m.m %% 11 = 0 THEN repeat('The crown has arrived, when can you come in? ', 5) || m.m
        ELSE 'Reminder ' || m.m || ': your check-up is tomorrow at 3:30 pm'
    END,
    CASE
        WHEN m.m >= %(conversations)s AND m.m %% 97 = 0
            THEN ARRAY['https://media.example.com/' || m.m || '.jpg']
        ELSE '{}'
    END,
    m.m %% 97 <> 0,
    1 + m.m %% 2,
    spread.created_at,
    CASE WHEN m.m < %(conversations)s THEN spread.created_at + interval '90 days' END
FROM generate_series(0::bigint, %(conversations)s::bigint * 10 - 1) AS m (m)
CROSS JOIN LATERAL (
    SELECT
        -- A prime multiplier visits every slot once, in an order that looks like chance.
        m.m * 6700417 %% (%(conversations)s::bigint * 10) AS slot,
        timestamptz '2025-05-01 00:00:00Z'
        + interval '360 days' * (m.m / (%(conversations)s * 10.0)) AS created_at
) AS spread
INNER JOIN pairs ON pairs.c = spread.slot / 500 * 50
    + CASE WHEN spread.slot %% 500 < 255 THEN 0 ELSE 1 + (spread.slot %% 500 - 255) / 5 END;

INSERT INTO conversations (
    organization_id,
    id,
    phone_number_id,
    phone_number,
    contact_number,
    opted_in_at,
    opted_out_at,
    consent_updated_at,
    last_message_at,
    last_message_id,
    last_message_direction,
    last_message_preview,
    last_message_body_redacted_at,
    message_count
)
SELECT
    %(organization_id)s,
    pairs.id,
    pairs.phone_number_id,
    pairs.phone_number,
    pairs.contact_number,
    CASE WHEN pairs.c %% 33 = 0 THEN timestamptz '2025-04-01 09:00:00Z' END,
    CASE WHEN pairs.c %% 33 <> 0 AND pairs.c %% 5 = 0 THEN timestamptz '2025-04-02 09:00:00Z' END,
    CASE WHEN pairs.c %% 33 = 0 OR pairs.c %% 5 = 0 THEN timestamptz '2025-04-02 09:00:01Z' END,
    computed.last_message_at,
    computed.last_message_id,
    computed.last_message_direction,
    computed.last_message_preview,
    computed.last_message_body_redacted_at,
    computed.message_count
FROM pairs
INNER JOIN ({compute_summaries}) AS computed USING (id);
