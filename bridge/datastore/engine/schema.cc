#include "datastore/engine/schema.h"

#include <vector>

#include "datastore/engine/schema_google.h"
#include "datastore/engine/schema_objects.h"
#include "datastore/engine/schema_pixels.h"
#include "datastore/engine/schema_search.h"
#include "datastore/engine/schema_values.h"

namespace isthmus::datastore {
namespace {

// Times are milliseconds since 1970; `blob` columns are SHA-256 in hex and keep that blob alive.
constexpr const char* kBuckets = R"sql(
CREATE TABLE buckets (
  name TEXT PRIMARY KEY,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE objects (
  bucket TEXT NOT NULL REFERENCES buckets(name),
  key TEXT NOT NULL,
  blob TEXT NOT NULL,
  size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
  etag TEXT NOT NULL,
  headers TEXT NOT NULL,             -- JSON object: Content-Type, x-amz-meta-…, as sent
  checksum_algorithm TEXT NOT NULL,  -- '' when the sender gave none
  checksum TEXT NOT NULL,
  modified_at INTEGER NOT NULL,
  PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX objects_blob ON objects(blob);

CREATE TABLE uploads (
  id TEXT PRIMARY KEY,
  bucket TEXT NOT NULL REFERENCES buckets(name),
  key TEXT NOT NULL,
  headers TEXT NOT NULL,
  initiated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE upload_parts (
  upload TEXT NOT NULL REFERENCES uploads(id),
  number INTEGER NOT NULL CHECK (number BETWEEN 1 AND 10000),
  blob TEXT NOT NULL,
  size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
  etag TEXT NOT NULL,
  checksum_algorithm TEXT NOT NULL,
  checksum TEXT NOT NULL,
  modified_at INTEGER NOT NULL,
  PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX upload_parts_blob ON upload_parts(blob);
)sql";

constexpr const char* kImaging = R"sql(
CREATE TABLE data_stores (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('ACTIVE', 'DELETED')),
  kms_key_arn TEXT,
  lambda_authorizer_arn TEXT,
  lossless_storage_format TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a clientToken was used for. `scope` is the data store, or '' for CreateDatastore.
CREATE TABLE client_tokens (
  operation TEXT NOT NULL,
  scope TEXT NOT NULL,
  token TEXT NOT NULL,
  request_digest TEXT NOT NULL,
  made_id TEXT NOT NULL,
  PRIMARY KEY (operation, scope, token)
) STRICT, WITHOUT ROWID;

CREATE TABLE import_jobs (
  id TEXT PRIMARY KEY,
  data_store TEXT NOT NULL REFERENCES data_stores(id),
  name TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('SUBMITTED', 'IN_PROGRESS', 'COMPLETED', 'FAILED')),
  -- How far an IN_PROGRESS job is: the files are listed, the image sets are visible.
  phase TEXT NOT NULL CHECK (phase IN ('accepted', 'listed', 'published')),
  role_arn TEXT NOT NULL,
  input_s3_uri TEXT NOT NULL,
  output_s3_uri TEXT NOT NULL,       -- as given at the start
  import_configuration TEXT,         -- JSON
  message TEXT,
  submitted_at INTEGER NOT NULL,
  ended_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX import_jobs_order ON import_jobs(data_store, submitted_at, id);
CREATE INDEX import_jobs_unfinished ON import_jobs(submitted_at, id)
  WHERE status IN ('SUBMITTED', 'IN_PROGRESS');

-- The input files of a job as they were when it began. The columns from `failure_type` on are the
-- result of examining; `examination` is compressed JSON and moves to the instance.
CREATE TABLE import_files (
  job TEXT NOT NULL REFERENCES import_jobs(id),
  ordinal INTEGER NOT NULL,
  key TEXT NOT NULL,
  blob TEXT,                         -- NULL once the job has ended
  size_bytes INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'examined', 'failed')),
  failure_type TEXT,
  failure_message TEXT,
  warnings TEXT,                     -- JSON array
  sop_instance_uid TEXT,
  series_instance_uid TEXT,
  grouping TEXT,
  attributes TEXT,                   -- JSON object: what searching needs
  examination BLOB,
  image_set TEXT,
  image_set_version INTEGER,
  PRIMARY KEY (job, ordinal),
  CHECK (state <> 'failed' OR failure_type IS NOT NULL),
  CHECK (state <> 'examined' OR grouping IS NOT NULL)
) STRICT;
CREATE INDEX import_files_blob ON import_files(blob) WHERE blob IS NOT NULL;

CREATE TABLE image_sets (
  id TEXT PRIMARY KEY,
  data_store TEXT NOT NULL REFERENCES data_stores(id),
  grouping TEXT NOT NULL,
  is_primary INTEGER NOT NULL CHECK (is_primary IN (0, 1)),
  latest_version INTEGER NOT NULL CHECK (latest_version >= 1),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  -- of the latest version:
  instance_count INTEGER NOT NULL,
  study_instance_uid TEXT NOT NULL,
  series_instance_uid TEXT NOT NULL,
  patient_id TEXT NOT NULL,
  accession_number TEXT NOT NULL,
  study_id TEXT NOT NULL,
  study_moment TEXT NOT NULL,        -- study_moment() in image_sets.h
  attributes TEXT NOT NULL,
  UNIQUE (data_store, grouping)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX image_sets_primary ON image_sets(data_store, series_instance_uid)
  WHERE is_primary = 1;
CREATE INDEX image_sets_series ON image_sets(data_store, series_instance_uid);
CREATE INDEX image_sets_study ON image_sets(data_store, study_instance_uid);
CREATE INDEX image_sets_updated ON image_sets(data_store, updated_at, id);

CREATE TABLE image_set_versions (
  image_set TEXT NOT NULL REFERENCES image_sets(id),
  version INTEGER NOT NULL,
  workflow_status TEXT NOT NULL,
  is_primary INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  import_job TEXT NOT NULL,
  PRIMARY KEY (image_set, version)
) STRICT, WITHOUT ROWID;

-- An instance belongs to the versions from first_version up to, not including, end_version.
CREATE TABLE instances (
  id INTEGER PRIMARY KEY,
  image_set TEXT NOT NULL REFERENCES image_sets(id),
  sop_instance_uid TEXT NOT NULL,
  first_version INTEGER NOT NULL,
  end_version INTEGER,
  blob TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  attributes TEXT NOT NULL,
  examination BLOB NOT NULL,
  CHECK (end_version IS NULL OR end_version > first_version)
) STRICT;
CREATE UNIQUE INDEX instances_current ON instances(image_set, sop_instance_uid)
  WHERE end_version IS NULL;
CREATE INDEX instances_blob ON instances(blob);
CREATE INDEX instances_set ON instances(image_set, first_version);
)sql";

// Image sets change: updates, copies and deletions, each a row of image_set_changes from the answer
// that accepts it until it is done. `grouping` of a set is from here on "which imported files join
// it": the digest of the seven elements, or its own id when none do (another set has them, or it is
// deleted).
constexpr const char* kChanges = R"sql(
ALTER TABLE image_sets ADD COLUMN state TEXT NOT NULL DEFAULT 'ACTIVE'
  CHECK (state IN ('ACTIVE', 'LOCKED', 'DELETED'));
ALTER TABLE image_sets ADD COLUMN deleted_at INTEGER;
ALTER TABLE image_sets ADD COLUMN accessed_at INTEGER;  -- NULL: never since it was made

ALTER TABLE image_set_versions ADD COLUMN message TEXT;
ALTER TABLE image_set_versions ADD COLUMN forced INTEGER;
-- Compressed JSON {"patient":{},"study":{},"series":{}}, for this version and those after it until
-- one has its own; NULL everywhere below: the levels are those of the version's first instance.
ALTER TABLE image_set_versions ADD COLUMN levels BLOB;

CREATE TABLE image_set_changes (
  id INTEGER PRIMARY KEY,
  data_store TEXT NOT NULL REFERENCES data_stores(id),
  kind TEXT NOT NULL CHECK (kind IN ('update', 'copy', 'delete')),
  work TEXT NOT NULL,                -- JSON: see image_set_changes.cc
  accepted_at INTEGER NOT NULL
) STRICT;
CREATE INDEX image_set_changes_kind ON image_set_changes(data_store, kind);

CREATE TABLE tags (
  resource TEXT NOT NULL,            -- id of a data store, or of an image set
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (resource, key)
) STRICT, WITHOUT ROWID;
)sql";

// Events by triggers, so that no change of state can be without one; and what import jobs were
// given to override metadata with.
constexpr const char* kEvents = R"sql(
ALTER TABLE import_jobs ADD COLUMN begun_at INTEGER;

CREATE TABLE import_overrides (
  job TEXT NOT NULL REFERENCES import_jobs(id),
  ordinal INTEGER NOT NULL,
  study_instance_uid TEXT NOT NULL,
  series_instance_uid TEXT,          -- NULL: of the whole study
  document TEXT NOT NULL,
  PRIMARY KEY (job, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('data_store', 'import_job', 'image_set')),
  data_store TEXT NOT NULL,
  subject TEXT NOT NULL,
  status TEXT NOT NULL,
  version INTEGER,
  is_primary INTEGER,
  source TEXT                        -- the image set that is copied
) STRICT;

CREATE TABLE event_file (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  last_event INTEGER NOT NULL,
  bytes INTEGER NOT NULL
) STRICT;

CREATE TRIGGER data_store_made AFTER INSERT ON data_stores BEGIN
  INSERT INTO events (at, kind, data_store, subject, status)
  VALUES (NEW.created_at, 'data_store', NEW.id, NEW.id, 'CREATING'),
         (NEW.created_at, 'data_store', NEW.id, NEW.id, NEW.status);
END;
CREATE TRIGGER data_store_removed AFTER UPDATE OF status ON data_stores
WHEN NEW.status <> OLD.status BEGIN
  INSERT INTO events (at, kind, data_store, subject, status)
  VALUES (NEW.updated_at, 'data_store', NEW.id, NEW.id, 'DELETING'),
         (NEW.updated_at, 'data_store', NEW.id, NEW.id, NEW.status);
END;
CREATE TRIGGER import_job_accepted AFTER INSERT ON import_jobs BEGIN
  INSERT INTO events (at, kind, data_store, subject, status)
  VALUES (NEW.submitted_at, 'import_job', NEW.data_store, NEW.id, NEW.status);
END;
CREATE TRIGGER import_job_moved AFTER UPDATE OF status ON import_jobs
WHEN NEW.status <> OLD.status BEGIN
  INSERT INTO events (at, kind, data_store, subject, status)
  VALUES (COALESCE(NEW.ended_at, NEW.begun_at, NEW.submitted_at), 'import_job', NEW.data_store,
          NEW.id, NEW.status);
END;
CREATE TRIGGER image_set_version_made AFTER INSERT ON image_set_versions BEGIN
  INSERT INTO events (at, kind, data_store, subject, status, version, is_primary)
  SELECT NEW.updated_at, 'image_set', data_store, id, NEW.workflow_status, NEW.version,
         NEW.is_primary
  FROM image_sets WHERE id = NEW.image_set;
END;
CREATE TRIGGER image_set_version_moved AFTER UPDATE OF workflow_status ON image_set_versions
WHEN NEW.workflow_status <> OLD.workflow_status BEGIN
  INSERT INTO events (at, kind, data_store, subject, status, version, is_primary)
  SELECT NEW.updated_at, 'image_set', data_store, id, NEW.workflow_status, NEW.version,
         NEW.is_primary
  FROM image_sets WHERE id = NEW.image_set;
END;
)sql";

}  // namespace

std::span<const sql::Migration> catalogue_migrations() {
  static const std::vector<sql::Migration> migrations = {
      {kBuckets, {}},         {kImaging, {}},
      {kChanges, {}},         {kEvents, {}},
      {kPixelDataSchema, {}}, {kPixelDataOfFilesSchema, {}},
      {kObjectsSchema, {}},   search_columns_migration(),
      {kGoogleSchema, {}},    {kSearchValuesSchema, {}}};
  return migrations;
}

}  // namespace isthmus::datastore
