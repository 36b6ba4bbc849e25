-- Makes conversations.id a plain column, which the statements fill in, and takes the sender IDs
-- that carriers allow, such as 24-7 Taxi and O'Reilly.
-- A generated column is not published by logical replication. As part of the key it stopped every
-- write under a publication on PostgreSQL 18, and every subscriber of PostgreSQL 15 to 17.
-- The checks are not valid yet, so that no table is locked while it is read; the next file reads.
ALTER TABLE conversations ALTER COLUMN id DROP EXPRESSION;

ALTER TABLE conversations
ADD CONSTRAINT id_is_of_number_and_contact
CHECK (id = conversation_id(phone_number_id, contact_number)) NOT VALID;

ALTER TABLE conversations DROP CONSTRAINT contact_number_is_well_formed;

-- E.164, a short code, or an alphanumeric sender ID.
ALTER TABLE conversations
ADD CONSTRAINT contact_number_is_well_formed CHECK (
    contact_number
    ~ '^(\+[1-9][0-9]{1,14}|[1-9][0-9]{2,7}|(?=[^A-Za-z]*[A-Za-z])[0-9A-Za-z][0-9A-Za-z _.&+''-]{0,9}[0-9A-Za-z_.&+''-])$' -- noqa: LT05
) NOT VALID;

ALTER TABLE phone_numbers DROP CONSTRAINT number_is_well_formed;

-- E.164, a short code, or an alphanumeric sender ID.
ALTER TABLE phone_numbers
ADD CONSTRAINT number_is_well_formed CHECK (
    number
    ~ '^(\+[1-9][0-9]{1,14}|[1-9][0-9]{2,7}|(?=[^A-Za-z]*[A-Za-z])[0-9A-Za-z][0-9A-Za-z _.&+''-]{0,9}[0-9A-Za-z_.&+''-])$' -- noqa: LT05
) NOT VALID;
