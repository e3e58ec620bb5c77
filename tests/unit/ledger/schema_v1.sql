-- Made by ledger_schema_v1() (bridge/ledger/sqlite/schema.cc).

CREATE TABLE meta (
  key TEXT NOT NULL PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE instance (
  id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 32),
  sop_class_uid TEXT NOT NULL,
  sop_instance_uid TEXT NOT NULL,
  series_instance_uid TEXT NOT NULL,
  study_instance_uid TEXT NOT NULL,
  patient_hash TEXT NOT NULL CHECK (length(patient_hash) = 64),
  modality TEXT NOT NULL,
  receiver TEXT NOT NULL,
  calling_ae_title TEXT NOT NULL,
  called_ae_title TEXT NOT NULL,
  peer_address TEXT NOT NULL,
  association_id TEXT NOT NULL,
  transfer_syntax_uid TEXT NOT NULL,
  size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
  dataset_offset_bytes INTEGER NOT NULL CHECK (dataset_offset_bytes >= 0),
  dataset_digest TEXT NOT NULL CHECK (length(dataset_digest) = 64),
  file_digest TEXT NOT NULL CHECK (length(file_digest) = 64),
  spool_ref TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  conflicts_with TEXT REFERENCES instance (id),
  identity_conflict INTEGER NOT NULL CHECK (identity_conflict IN (0, 1)),
  imported_at INTEGER,  -- when the last of its deliveries was imported
  freeing_at INTEGER,   -- when the sweeper claimed its bytes
  freed_at INTEGER,     -- when they were gone
  CHECK (identity_conflict = 0 OR conflicts_with IS NOT NULL),
  CHECK (freeing_at IS NULL OR imported_at IS NOT NULL),
  CHECK (freed_at IS NULL OR freeing_at IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX instance_by_identity ON instance (sop_instance_uid, dataset_digest);
CREATE INDEX instance_by_series ON instance (series_instance_uid);
CREATE INDEX instance_by_study ON instance (study_instance_uid);
CREATE INDEX instance_sweepable ON instance (imported_at)
WHERE imported_at IS NOT NULL AND freeing_at IS NULL;
CREATE INDEX instance_being_freed ON instance (freeing_at)
WHERE freeing_at IS NOT NULL AND freed_at IS NULL;

CREATE TRIGGER instance_is_a_fact
BEFORE UPDATE OF id, sop_class_uid, sop_instance_uid, series_instance_uid, study_instance_uid,
  patient_hash, transfer_syntax_uid, size_bytes, dataset_offset_bytes, dataset_digest, file_digest,
  received_at, conflicts_with, identity_conflict ON instance
BEGIN SELECT RAISE(ABORT, 'what was received does not change'); END;
CREATE TRIGGER instance_stays BEFORE DELETE ON instance
BEGIN SELECT RAISE(ABORT, 'an instance is never deleted'); END;

CREATE TABLE batch (
  id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 32),
  destination TEXT NOT NULL,
  study_instance_uid TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'sealed', 'staged', 'submitted', 'settled', 'reconciled', 'stuck', 'abandoned')),
  state_since INTEGER NOT NULL,
  members INTEGER NOT NULL CHECK (members >= 0),
  size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
  attempts INTEGER NOT NULL CHECK (attempts >= 0),
  opened_at INTEGER NOT NULL,
  last_joined_at INTEGER NOT NULL,
  next_attempt_at INTEGER,
  reason_code TEXT NOT NULL,
  reason TEXT NOT NULL,
  imported INTEGER NOT NULL,
  rejected INTEGER NOT NULL,
  unaccounted INTEGER NOT NULL,
  ended_at INTEGER,
  objects_removed_at INTEGER,
  -- I2: a date exactly while it goes on by itself.
  CONSTRAINT batch_has_a_date CHECK ((next_attempt_at IS NOT NULL) = (state IN ('open', 'sealed', 'staged', 'submitted', 'settled'))),
  CONSTRAINT batch_has_an_end CHECK ((ended_at IS NOT NULL) = (state IN ('reconciled', 'abandoned'))),
  -- I4: every member of a reconciled batch has its outcome.
  CONSTRAINT batch_adds_up
  CHECK (state <> 'reconciled' OR imported + rejected + unaccounted = members)
) STRICT;
CREATE INDEX batch_by_state ON batch (state, destination, next_attempt_at);
CREATE INDEX batch_with_objects ON batch (destination, ended_at)
WHERE ended_at IS NOT NULL AND objects_removed_at IS NULL;

CREATE TABLE delivery (
  id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 32),
  instance_id TEXT NOT NULL REFERENCES instance (id),
  destination TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'staged', 'imported', 'rejected', 'quarantined')),
  state_since INTEGER NOT NULL,
  batch_id TEXT REFERENCES batch (id),
  upload_attempts INTEGER NOT NULL CHECK (upload_attempts >= 0),  -- failed uploads in a row
  import_attempts INTEGER NOT NULL CHECK (import_attempts >= 0),  -- imports that said nothing
  next_attempt_at INTEGER,
  reason_code TEXT NOT NULL,
  reason TEXT NOT NULL,
  etag TEXT NOT NULL,
  staged_at INTEGER,  -- the first time
  image_set_id TEXT NOT NULL,
  image_set_version INTEGER,
  is_primary INTEGER CHECK (is_primary IN (0, 1)),
  UNIQUE (instance_id, destination),
  -- I2: a date exactly while it goes on by itself.
  CONSTRAINT delivery_has_a_date
  CHECK ((next_attempt_at IS NOT NULL) = (state IN ('waiting', 'staged'))),
  CONSTRAINT delivery_staged_in_batch CHECK (state <> 'staged' OR batch_id IS NOT NULL)
) STRICT;
CREATE INDEX delivery_waiting ON delivery (destination, next_attempt_at)
WHERE state = 'waiting' AND batch_id IS NULL;
CREATE INDEX delivery_by_batch ON delivery (batch_id, state, next_attempt_at)
WHERE batch_id IS NOT NULL;
CREATE INDEX delivery_not_imported ON delivery (state, destination, state_since)
WHERE state <> 'imported';

CREATE TABLE import_job (
  id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 32),
  batch_id TEXT NOT NULL REFERENCES batch (id),
  destination TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('intended', 'running', 'succeeded', 'failed', 'lost')),
  state_since INTEGER NOT NULL,
  client_token TEXT NOT NULL UNIQUE CHECK (length(client_token) BETWEEN 1 AND 64),
  job_name TEXT NOT NULL,
  input_prefix TEXT NOT NULL,
  output_prefix TEXT NOT NULL,
  session TEXT NOT NULL,  -- of the process that intended it
  intended_at INTEGER NOT NULL,
  remote_id TEXT,
  remote_output_prefix TEXT NOT NULL,
  polls INTEGER NOT NULL,
  next_poll_at INTEGER,
  started_at INTEGER,
  ended_at INTEGER,
  message TEXT NOT NULL,
  CONSTRAINT import_job_has_a_date CHECK ((next_poll_at IS NOT NULL) = (state = 'running')),
  CONSTRAINT import_job_is_known
  CHECK (state NOT IN ('running', 'succeeded', 'failed') OR remote_id IS NOT NULL)
) STRICT;
-- I6: one intent at a time for a batch.
CREATE UNIQUE INDEX import_job_open ON import_job (batch_id) WHERE state IN ('intended', 'running');
CREATE INDEX import_job_by_batch ON import_job (batch_id);
CREATE INDEX import_job_by_state ON import_job (state, destination, next_poll_at);

CREATE TABLE outcome (
  batch_id TEXT NOT NULL REFERENCES batch (id),
  delivery_id TEXT NOT NULL REFERENCES delivery (id),
  kind TEXT NOT NULL CHECK (kind IN ('imported', 'rejected', 'unaccounted')),
  reason_code TEXT NOT NULL,
  reason TEXT NOT NULL,
  image_set_id TEXT NOT NULL,
  image_set_version INTEGER,
  is_primary INTEGER CHECK (is_primary IN (0, 1)),
  recorded_at INTEGER NOT NULL,
  PRIMARY KEY (batch_id, delivery_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX outcome_by_delivery ON outcome (delivery_id);
CREATE TABLE outcome_warning (
  batch_id TEXT NOT NULL,
  delivery_id TEXT NOT NULL,
  place INTEGER NOT NULL,
  code INTEGER NOT NULL,
  type TEXT NOT NULL,
  message TEXT NOT NULL,
  PRIMARY KEY (batch_id, delivery_id, place),
  FOREIGN KEY (batch_id, delivery_id) REFERENCES outcome (batch_id, delivery_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE history (
  seq INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  subject TEXT NOT NULL CHECK (subject IN ('instance', 'delivery', 'batch', 'import_job')),
  subject_id TEXT NOT NULL,
  event TEXT NOT NULL,
  from_state TEXT NOT NULL,
  to_state TEXT NOT NULL,
  why TEXT NOT NULL
) STRICT;
CREATE INDEX history_by_subject ON history (subject_id);
CREATE TRIGGER history_is_a_fact BEFORE UPDATE ON history
BEGIN SELECT RAISE(ABORT, 'history does not change'); END;
CREATE TRIGGER history_stays BEFORE DELETE ON history
BEGIN SELECT RAISE(ABORT, 'history is never deleted'); END;

-- How many rows are in each state: kept by triggers, because counting millions takes seconds.
CREATE TABLE state_count (
  subject TEXT NOT NULL,
  destination TEXT NOT NULL,
  state TEXT NOT NULL,
  count INTEGER NOT NULL CHECK (count >= 0),
  PRIMARY KEY (subject, destination, state)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER delivery_begins BEFORE INSERT ON delivery WHEN NEW.state <> 'waiting'
BEGIN SELECT RAISE(ABORT, 'a delivery begins as waiting'); END;
CREATE TRIGGER delivery_transition BEFORE UPDATE OF state ON delivery
WHEN OLD.state <> NEW.state AND OLD.state || '>' || NEW.state NOT IN ('waiting>staged', 'staged>imported', 'staged>rejected', 'staged>waiting', 'waiting>quarantined', 'staged>quarantined', 'waiting>quarantined', 'staged>quarantined', 'staged>waiting', 'rejected>waiting', 'quarantined>waiting')
BEGIN SELECT RAISE(ABORT, 'no such transition of a delivery'); END;
CREATE TRIGGER delivery_counted AFTER INSERT ON delivery
BEGIN
  INSERT INTO state_count VALUES ('delivery', NEW.destination, NEW.state, 1)
  ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER delivery_recounted AFTER UPDATE OF state ON delivery WHEN OLD.state <> NEW.state
BEGIN
  UPDATE state_count SET count = count - 1
  WHERE subject = 'delivery' AND destination = OLD.destination AND state = OLD.state;
  INSERT INTO state_count VALUES ('delivery', NEW.destination, NEW.state, 1)
  ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER delivery_stays BEFORE DELETE ON delivery
BEGIN SELECT RAISE(ABORT, 'a delivery is never deleted'); END;

CREATE TRIGGER batch_begins BEFORE INSERT ON batch WHEN NEW.state <> 'open'
BEGIN SELECT RAISE(ABORT, 'a batch begins as open'); END;
CREATE TRIGGER batch_transition BEFORE UPDATE OF state ON batch
WHEN OLD.state <> NEW.state AND OLD.state || '>' || NEW.state NOT IN ('open>sealed', 'sealed>staged', 'sealed>abandoned', 'staged>submitted', 'submitted>settled', 'submitted>staged', 'settled>reconciled', 'sealed>stuck', 'staged>stuck', 'submitted>stuck', 'settled>stuck', 'stuck>abandoned')
BEGIN SELECT RAISE(ABORT, 'no such transition of a batch'); END;
CREATE TRIGGER batch_counted AFTER INSERT ON batch
BEGIN
  INSERT INTO state_count VALUES ('batch', NEW.destination, NEW.state, 1)
  ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER batch_recounted AFTER UPDATE OF state ON batch WHEN OLD.state <> NEW.state
BEGIN
  UPDATE state_count SET count = count - 1
  WHERE subject = 'batch' AND destination = OLD.destination AND state = OLD.state;
  INSERT INTO state_count VALUES ('batch', NEW.destination, NEW.state, 1)
  ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER batch_stays BEFORE DELETE ON batch
BEGIN SELECT RAISE(ABORT, 'a batch is never deleted'); END;

CREATE TRIGGER import_job_begins BEFORE INSERT ON import_job WHEN NEW.state <> 'intended'
BEGIN SELECT RAISE(ABORT, 'a import_job begins as intended'); END;
CREATE TRIGGER import_job_transition BEFORE UPDATE OF state ON import_job
WHEN OLD.state <> NEW.state AND OLD.state || '>' || NEW.state NOT IN ('intended>running', 'running>succeeded', 'running>failed', 'running>lost', 'intended>lost')
BEGIN SELECT RAISE(ABORT, 'no such transition of a import_job'); END;
CREATE TRIGGER import_job_counted AFTER INSERT ON import_job
BEGIN
  INSERT INTO state_count VALUES ('import_job', NEW.destination, NEW.state, 1)
  ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER import_job_recounted AFTER UPDATE OF state ON import_job WHEN OLD.state <> NEW.state
BEGIN
  UPDATE state_count SET count = count - 1
  WHERE subject = 'import_job' AND destination = OLD.destination AND state = OLD.state;
  INSERT INTO state_count VALUES ('import_job', NEW.destination, NEW.state, 1)
  ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER import_job_stays BEFORE DELETE ON import_job
BEGIN SELECT RAISE(ABORT, 'a import_job is never deleted'); END;
