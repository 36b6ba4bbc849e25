-- Distributes a migrated database over a Citus cluster by organization; run once, with psql, after
-- flask migrate. organization_id leads every key, so what is written for it is written to one node.
SELECT create_reference_table('organizations');
SELECT create_reference_table('api_keys');
SELECT create_distributed_table('phone_numbers', 'organization_id');
SELECT create_distributed_table(
    'conversations', 'organization_id', colocate_with => 'phone_numbers'
);
SELECT create_distributed_table('messages', 'organization_id', colocate_with => 'phone_numbers');
SELECT create_distributed_table(
    'conversation_counts', 'organization_id', colocate_with => 'phone_numbers'
);
