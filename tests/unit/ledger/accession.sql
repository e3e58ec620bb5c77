-- Made by accession_migration() (bridge/ledger/sqlite/migration_accession.cc).

ALTER TABLE instance ADD COLUMN accession_hash TEXT NOT NULL DEFAULT '';
CREATE INDEX instance_by_accession ON instance (accession_hash) WHERE accession_hash <> '';
CREATE TRIGGER instance_accession_is_a_fact BEFORE UPDATE OF accession_hash ON instance
BEGIN SELECT RAISE(ABORT, 'what was received does not change'); END;
