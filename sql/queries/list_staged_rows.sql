-- The rows of an import in the order in which they are recorded: by conversation, because the rows
-- of one batch then change few summaries. Rows whose message id an earlier line has come last and
-- in the order of the file, because of rows with the same id the first counts.
WITH repeated AS (
    SELECT numbered.line
    FROM (
        SELECT
            line,
            row_number() OVER (PARTITION BY message_id ORDER BY line) AS occurrence
        FROM staged_rows
        WHERE message_id IS NOT NULL
    ) AS numbered
    WHERE numbered.occurrence > 1
)

SELECT
    staged_rows.line,
    staged_rows.raw,
    staged_rows.content,
    repeated.line IS NOT NULL AS is_repeated
FROM staged_rows
LEFT JOIN repeated ON staged_rows.line = repeated.line
ORDER BY repeated.line NULLS FIRST, staged_rows.conversation, staged_rows.line
