-- Reads every column of every table but no row, so that it fails unless the schema has all that
-- this version reads and writes. /readyz runs it with an organization_id that no organization has.
SELECT
    organizations.id AS organizations_id,
    organizations.name AS organizations_name,
    organizations.id_namespace AS organizations_id_namespace,
    organizations.message_retention_days AS organizations_message_retention_days,
    organizations.created_at AS organizations_created_at,
    organizations.last_redaction_at AS organizations_last_redaction_at,
    organizations.retention_set_at AS organizations_retention_set_at,
    organizations.deletion_started_at AS organizations_deletion_started_at,
    api_keys.organization_id AS api_keys_organization_id,
    api_keys.id AS api_keys_id,
    api_keys.key_hash AS api_keys_key_hash,
    api_keys.prefix AS api_keys_prefix,
    api_keys.label AS api_keys_label,
    api_keys.scopes AS api_keys_scopes,
    api_keys.created_at AS api_keys_created_at,
    api_keys.expires_at AS api_keys_expires_at,
    api_keys.revoked_at AS api_keys_revoked_at,
    api_keys.last_used_at AS api_keys_last_used_at,
    phone_numbers.organization_id AS phone_numbers_organization_id,
    phone_numbers.id AS phone_numbers_id,
    phone_numbers.number AS phone_numbers_number,
    phone_numbers.created_at AS phone_numbers_created_at,
    conversations.organization_id AS conversations_organization_id,
    conversations.id AS conversations_id,
    conversations.phone_number_id AS conversations_phone_number_id,
    conversations.phone_number AS conversations_phone_number,
    conversations.contact_number AS conversations_contact_number,
    conversations.opted_in_at AS conversations_opted_in_at,
    conversations.opted_out_at AS conversations_opted_out_at,
    conversations.consent_updated_at AS conversations_consent_updated_at,
    conversations.opted_in AS conversations_opted_in,
    conversations.last_message_at AS conversations_last_message_at,
    conversations.last_message_id AS conversations_last_message_id,
    conversations.last_message_direction AS conversations_last_message_direction,
    conversations.last_message_preview AS conversations_last_message_preview,
    conversations.last_message_body_redacted_at AS conversations_last_message_body_redacted_at,
    conversations.message_count AS conversations_message_count,
    conversations.list_item AS conversations_list_item,
    messages.organization_id AS messages_organization_id,
    messages.id AS messages_id,
    messages.conversation_id AS messages_conversation_id,
    messages.direction AS messages_direction,
    messages.channel AS messages_channel,
    messages.body AS messages_body,
    messages.media_urls AS messages_media_urls,
    messages.has_text AS messages_has_text,
    messages.segment_count AS messages_segment_count,
    messages.created_at AS messages_created_at,
    messages.redacted_at AS messages_redacted_at,
    conversation_counts.organization_id AS conversation_counts_organization_id,
    conversation_counts.counted_id AS conversation_counts_counted_id,
    conversation_counts.shard AS conversation_counts_shard,
    conversation_counts.opted_in_count AS conversation_counts_opted_in_count,
    conversation_counts.other_count AS conversation_counts_other_count,
    conversation_counts.change_count AS conversation_counts_change_count,
    conversation_counts.opted_in_record_count AS conversation_counts_opted_in_record_count,
    conversation_counts.opted_out_record_count AS conversation_counts_opted_out_record_count,
    conversation_counts.phone_number_count AS conversation_counts_phone_number_count
FROM organizations
INNER JOIN api_keys ON organizations.id = api_keys.organization_id
INNER JOIN phone_numbers ON organizations.id = phone_numbers.organization_id
INNER JOIN conversations ON organizations.id = conversations.organization_id
INNER JOIN messages ON organizations.id = messages.organization_id
INNER JOIN conversation_counts ON organizations.id = conversation_counts.organization_id
WHERE
    organizations.id = %(organization_id)s
    AND api_keys.organization_id = %(organization_id)s
    AND phone_numbers.organization_id = %(organization_id)s
    AND conversations.organization_id = %(organization_id)s
    AND messages.organization_id = %(organization_id)s
    AND conversation_counts.organization_id = %(organization_id)s
