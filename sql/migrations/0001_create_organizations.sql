-- Organizations: each owns rows of all other tables, whose keys therefore begin with
-- organization_id.
CREATE TABLE organizations (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    name text NOT NULL,
    id_namespace uuid NOT NULL DEFAULT gen_random_uuid(),
    message_retention_days integer,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_redaction_at timestamptz,
    retention_set_at timestamptz,
    CONSTRAINT organizations_pkey PRIMARY KEY (id),
    CONSTRAINT name_is_not_empty CHECK (name <> ''),
    CONSTRAINT retention_is_positive CHECK (message_retention_days > 0)
);

COMMENT ON COLUMN organizations.id_namespace
IS 'secret: of the ids computed from the content of messages, which would give a removed text away';
COMMENT ON COLUMN organizations.message_retention_days IS 'null: messages are kept for ever';
COMMENT ON COLUMN organizations.retention_set_at
IS 'when set-retention last changed message_retention_days; null: never since it was created';
COMMENT ON COLUMN organizations.last_redaction_at
IS 'when redact-messages last finished for this organization';
