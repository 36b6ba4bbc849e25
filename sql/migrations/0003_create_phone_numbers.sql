-- The phone numbers of an organization. An id may occur in several organizations, so that a
-- deployment can be split or merged without new ids.
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
    -- The foreign key of conversations, which hold both.
    CONSTRAINT number_goes_with_id UNIQUE (organization_id, id, number),
    -- E.164, a short code, or an alphanumeric sender ID.
    CONSTRAINT number_is_well_formed CHECK (
        number
        ~ '^(\+[1-9][0-9]{1,14}|[1-9][0-9]{2,7}|[A-Za-z][0-9A-Za-z _.&-]{0,9}[0-9A-Za-z_.&-])$'
    )
);

-- list_phone_numbers.
CREATE INDEX phone_numbers_oldest_first
ON phone_numbers (organization_id, created_at, id);
