-- Puts a rebuilt summary in the place of the stored one; the caller holds the lock.
UPDATE conversations
SET
    last_message_at = %(last_message_at)s,
    last_message_id = %(last_message_id)s,
    last_message_direction = %(last_message_direction)s,
    last_message_preview = %(last_message_preview)s,
    last_message_body_redacted_at = %(last_message_body_redacted_at)s,
    message_count = %(message_count)s
WHERE
    organization_id = %(organization_id)s
    AND id = %(id)s
