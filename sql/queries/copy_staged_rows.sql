-- Takes the rows of an import. COPY, because it is the fastest way into a table.
COPY staged_rows (line, raw, message_id, conversation_hash, content) FROM STDIN WITH BINARY
