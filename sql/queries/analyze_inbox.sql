-- Refreshes the statistics of the tables that an import fills, so that plans that were made over
-- smaller tables are made again.
ANALYZE conversations, messages, conversation_counts
