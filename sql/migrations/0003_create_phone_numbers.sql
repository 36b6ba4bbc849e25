-- The numbers an organization texts from. Ids may repeat across organizations, so that one can be
-- moved whole.
CREATE TABLE phone_numbers (
    organization_id uuid NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    number text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT phone_numbers_pkey PRIMARY KEY (organization_id, id),
    CONSTRAINT phone_numbers_organization_fkey FOREIGN KEY (
        organization_id
    ) REFERENCES organizations (id),
    CONSTRAINT number_is_unique UNIQUE (organization_id, number),
    -- Of a conversation, which holds both.
    CONSTRAINT number_goes_with_id UNIQUE (organization_id, id, number),
    CONSTRAINT number_is_dialable CHECK (number ~ '^(\+[1-9][0-9]{1,14}|[1-9][0-9]{2,7})$')
);
