-- Distributes a migrated database over a Citus cluster by organization. Run it once with psql on
-- the coordinator, after flask migrate. organization_id leads every key, so all rows of an
-- organization are on one node, and every query of a request goes to that node.
BEGIN;

-- Tables that refer to organizations must not become local tables of the cluster before their turn,
-- and what follows a reference table in its transaction must go from node to node.
SELECT set_config('citus.enable_local_reference_table_foreign_keys', 'off', TRUE);
SELECT set_config('citus.multi_shard_modify_mode', 'sequential', TRUE);

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

-- These functions are on the coordinator alone where Citus came to a filled database. No column or
-- check depends on preview, so it would not follow its table to the other nodes.
SELECT create_distributed_function('preview(text)');

-- Without this the rows from before would stay on the coordinator's disk, where no redaction
-- reaches them.
SELECT truncate_local_data_after_distributing_table('organizations');

COMMIT;
