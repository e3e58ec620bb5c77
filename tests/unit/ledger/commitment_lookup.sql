-- Made by commitment_lookup_migration() (bridge/ledger/sqlite/commitment_schema.cc).
CREATE INDEX commitment_reference_by_instance
ON commitment_reference (sop_instance_uid);
