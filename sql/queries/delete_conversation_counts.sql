-- Deletes the counts of an organization. They outlive a phone number, but not its organization.
DELETE FROM conversation_counts
WHERE organization_id = %(organization_id)s
