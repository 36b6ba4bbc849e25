-- The rows of an import in the order in which they are recorded: by conversation, because the rows
-- of one batch then change few summaries. A row with the message id of an earlier line comes last,
-- in the order of the file, because the first row with an id counts.
WITH repeated AS (
    -- Grouped by hash, because a sort of all rows by message takes longer.
    SELECT
        message_id,
        min(line) AS first_line
    FROM staged_rows
    GROUP BY message_id
    HAVING count(*) > 1
)

SELECT
    staged_rows.line,
    staged_rows.raw,
    staged_rows.content,
    staged_rows.line > repeated.first_line IS TRUE AS is_repeated
FROM staged_rows
LEFT JOIN repeated ON staged_rows.message_id = repeated.message_id
-- One number to sort by, because that is faster than sorting by a text. It is greater than every
-- hash, which has 32 bits, for repeated rows.
ORDER BY
    CASE
        WHEN staged_rows.line > repeated.first_line THEN 4294967296
        ELSE staged_rows.conversation_hash
    END,
    staged_rows.line
