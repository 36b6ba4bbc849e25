-- Reads the rows that the checks of the migration before have not looked at. In a transaction of
-- its own, because it may take minutes, and nobody has to wait for it.
ALTER TABLE conversations VALIDATE CONSTRAINT id_is_of_number_and_contact;

ALTER TABLE conversations VALIDATE CONSTRAINT contact_number_is_well_formed;

ALTER TABLE phone_numbers VALIDATE CONSTRAINT number_is_well_formed;
