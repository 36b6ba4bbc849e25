-- Deletes the phone numbers of an organization, whose conversations are gone.
DELETE FROM phone_numbers
WHERE organization_id = %(organization_id)s
