#include "datastore/engine/schema_google.h"

namespace isthmus::datastore {

const char* const kGoogleSchema = R"sql(
CREATE TABLE google_datasets (
  name TEXT PRIMARY KEY,             -- projects/p/locations/l/datasets/d
  time_zone TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE google_stores (
  name TEXT PRIMARY KEY,             -- <dataset>/dicomStores/s
  dataset TEXT NOT NULL REFERENCES google_datasets(name),
  data_store TEXT NOT NULL UNIQUE REFERENCES data_stores(id),
  labels TEXT NOT NULL,              -- JSON object
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX google_stores_dataset ON google_stores(dataset, name);

-- Records stay when what they were about is gone. An import's counters are of its job's files while
-- it goes on, and stand here when it has ended.
CREATE TABLE google_operations (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  dataset TEXT NOT NULL,
  store TEXT NOT NULL,
  job TEXT UNIQUE,
  method TEXT NOT NULL,
  response TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  ended_at INTEGER,
  cancel_requested INTEGER NOT NULL DEFAULT 0,
  success INTEGER NOT NULL DEFAULT 0,
  failure INTEGER NOT NULL DEFAULT 0,
  error_code INTEGER NOT NULL DEFAULT 0,
  error_message TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX google_operations_dataset ON google_operations(dataset, id);

CREATE TABLE google_import_log (
  operation INTEGER NOT NULL REFERENCES google_operations(id),
  ordinal INTEGER NOT NULL,
  source TEXT NOT NULL,
  code INTEGER NOT NULL,
  message TEXT NOT NULL,
  PRIMARY KEY (operation, ordinal)
) STRICT, WITHOUT ROWID;
)sql";

}  // namespace isthmus::datastore
