-- The rows of an import in the order in which they are recorded: by conversation, because the rows
-- of one batch then change few summaries. A row with the message id of an earlier line comes last,
-- in the order of the file, because the first row with an id counts.
SELECT
    line,
    raw,
    content,
    is_repeated
FROM (
    SELECT
        line,
        raw,
        content,
        conversation_hash,
        message_id IS NOT NULL
        AND row_number() OVER (PARTITION BY message_id ORDER BY line) > 1 AS is_repeated
    FROM staged_rows
) AS numbered
-- One number to sort by, because that is faster than sorting by a text. It is greater than every
-- hash, which has 32 bits, for repeated rows.
ORDER BY CASE WHEN is_repeated THEN 4294967296 ELSE conversation_hash END, line
