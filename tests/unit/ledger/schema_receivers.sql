-- Made by ledger_schema_of_receivers() (bridge/ledger/sqlite/receiver_rows.cc).

CREATE TABLE receiver_mark (
  name TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What stands in the archive and could not be taken: it asks for a person.
CREATE TABLE untaken_instance (
  archive_id TEXT NOT NULL PRIMARY KEY,
  code TEXT NOT NULL,
  message TEXT NOT NULL,
  since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX untaken_instance_by_date ON untaken_instance (since);
