-- Notes that redact-messages went through an organization. /readyz reports when that is too long
-- ago.
UPDATE organizations
SET last_redaction_at = now()
WHERE id = %(organization_id)s
