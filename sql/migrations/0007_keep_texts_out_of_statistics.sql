-- ANALYZE copies sample values into pg_statistic, where they would outlive redaction. No query
-- compares these columns, so the planner misses nothing.
ALTER TABLE messages
ALTER COLUMN body SET STATISTICS 0,
ALTER COLUMN media_urls SET STATISTICS 0;

ALTER TABLE conversations
ALTER COLUMN last_message_preview SET STATISTICS 0;
