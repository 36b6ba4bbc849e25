-- Remembers that the deletion of an organization has begun, so that check-conversations does not
-- take what an interruption left of it for a wrong inbox.
ALTER TABLE organizations ADD COLUMN deletion_started_at timestamptz;

COMMENT ON COLUMN organizations.deletion_started_at
IS 'when delete-organization began; what is left goes when it is run again';
