-- API keys: only the SHA-256 of each is stored, so a copy of this table gives no access.
CREATE TABLE api_keys (
    organization_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    key_hash bytea NOT NULL,
    prefix text NOT NULL,
    label text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    CONSTRAINT api_keys_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT api_keys_organization_fkey FOREIGN KEY (organization_id) REFERENCES organizations (
        id
    ),
    -- get_api_key: the one query of a request that starts without an organization.
    CONSTRAINT key_hash_is_unique UNIQUE (key_hash),
    CONSTRAINT key_hash_is_sha256 CHECK (octet_length(key_hash) = 32),
    CONSTRAINT scopes_are_known CHECK (
        scopes <@ ARRAY[
            'conversations:read',
            'messages:write',
            'messages:erase',
            'consent:read',
            'consent:write',
            'numbers:read'
        ]
        AND cardinality(scopes) > 0
    )
);
