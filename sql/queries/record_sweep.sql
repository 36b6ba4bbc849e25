-- Notes that redact-messages got through an organization; readyz tells when that is long ago.
UPDATE organizations
SET last_sweep_at = now()
WHERE id = %(organization_id)s
