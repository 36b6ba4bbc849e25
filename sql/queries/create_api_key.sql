-- Stores the hash of a new key. The key itself is never stored.
INSERT INTO api_keys (organization_id, key_hash, prefix, label, scopes, expires_at)
VALUES (
    %(organization_id)s,
    %(key_hash)s,
    %(prefix)s,
    %(label)s,
    %(scopes)s,
    now() + %(expires_in)s::interval
)
