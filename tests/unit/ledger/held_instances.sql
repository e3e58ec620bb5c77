-- Made by held_instances_migration() (bridge/ledger/sqlite/migration_held_instances.cc).
CREATE INDEX instance_held ON instance (spool_ref) WHERE freed_at IS NULL;
