-- Lets what each scrape asks of all organizations be read from one end of an index.

-- get_health: when redact-messages last ran.
CREATE INDEX organizations_last_redaction
ON organizations (last_redaction_at)
WHERE message_retention_days IS NOT NULL;

-- get_health: since when the organization that has waited longest waits for redact-messages.
CREATE INDEX organizations_waiting_for_redaction
ON organizations (greatest(coalesce(last_redaction_at, created_at), retention_set_at))
WHERE message_retention_days IS NOT NULL;
