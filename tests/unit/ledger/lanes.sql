-- Made by lanes_migration() (bridge/ledger/sqlite/migration_lanes.cc).
ALTER TABLE batch ADD COLUMN lane TEXT NOT NULL DEFAULT 'routine' CHECK (lane IN ('routine', 'stat'));
