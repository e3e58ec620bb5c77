#include "ledger/sqlite/update_schema.h"

#include <string_view>

#include "ledger/sqlite/schema.h"

namespace isthmus {
namespace {

constexpr std::string_view kUpdates = R"(
CREATE TABLE metadata_order (
  id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 32),
  what TEXT NOT NULL,
  requested_by TEXT NOT NULL,
  requested_at INTEGER NOT NULL
) STRICT;

CREATE TABLE metadata_update (
  seq INTEGER PRIMARY KEY,  -- the order in which they were ordered
  id TEXT NOT NULL UNIQUE CHECK (length(id) = 32),
  order_id TEXT REFERENCES metadata_order (id),
  kind TEXT NOT NULL CHECK (kind IN ('change', 'exact', 'revert')),
  destination TEXT NOT NULL,
  study_instance_uid TEXT NOT NULL,
  image_set_id TEXT NOT NULL,
  seen_version INTEGER NOT NULL,
  revert_to INTEGER NOT NULL,
  include_study INTEGER NOT NULL CHECK (include_study IN (0, 1)),
  force INTEGER NOT NULL CHECK (force IN (0, 1)),
  reverts TEXT REFERENCES metadata_update (id),
  patient_hash TEXT NOT NULL,  -- whose study it becomes; empty: it stays whose it is
  requested_by TEXT NOT NULL,
  requested_at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ({metadata_update_states})),
  state_since INTEGER NOT NULL,
  attempts INTEGER NOT NULL CHECK (attempts >= 0),
  next_attempt_at INTEGER,
  error_code TEXT NOT NULL,
  error TEXT NOT NULL,
  CHECK ((kind = 'revert') = (reverts IS NOT NULL)),
  -- I2: a date exactly while it goes on by itself.
  CONSTRAINT metadata_update_has_a_date
  CHECK ((next_attempt_at IS NOT NULL) = (state IN ({metadata_update_moving})))
) STRICT;
CREATE INDEX metadata_update_live ON metadata_update (study_instance_uid, destination, seq)
WHERE next_attempt_at IS NOT NULL;
CREATE INDEX metadata_update_due ON metadata_update (destination, next_attempt_at)
WHERE next_attempt_at IS NOT NULL;
CREATE INDEX metadata_update_by_study ON metadata_update (study_instance_uid);
CREATE INDEX metadata_update_by_order ON metadata_update (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX metadata_update_by_state ON metadata_update (state, destination, state_since);
CREATE INDEX metadata_update_by_patient ON metadata_update (patient_hash)
WHERE patient_hash <> '';
CREATE INDEX metadata_update_reverting ON metadata_update (reverts) WHERE reverts IS NOT NULL;

-- Patient data from here on: values, and the service's words.
CREATE TABLE metadata_attribute (
  update_id TEXT NOT NULL REFERENCES metadata_update (id),
  place INTEGER NOT NULL,
  action TEXT NOT NULL CHECK (action IN ('set', 'remove', 'remove_instance')),
  level TEXT NOT NULL CHECK (level IN ('patient', 'study', 'series', 'instance')),
  series_instance_uid TEXT NOT NULL,
  sop_instance_uid TEXT NOT NULL,
  key TEXT NOT NULL,
  vr TEXT NOT NULL,
  value TEXT,
  expected TEXT,
  CHECK ((action = 'set') = (value IS NOT NULL)),
  PRIMARY KEY (update_id, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE metadata_step (
  update_id TEXT NOT NULL REFERENCES metadata_update (id),
  place INTEGER NOT NULL,
  image_set_id TEXT NOT NULL,
  is_primary INTEGER NOT NULL CHECK (is_primary IN (0, 1)),
  carried_by INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ({metadata_step_states})),
  seen_version INTEGER NOT NULL,
  version INTEGER NOT NULL,
  revert_to INTEGER NOT NULL,
  error_code TEXT NOT NULL,
  error TEXT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (update_id, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE metadata_value (
  update_id TEXT NOT NULL,
  step INTEGER NOT NULL,
  attribute INTEGER NOT NULL,
  before TEXT,
  wanted TEXT,
  found TEXT,
  PRIMARY KEY (update_id, step, attribute),
  FOREIGN KEY (update_id, step) REFERENCES metadata_step (update_id, place) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE metadata_history (
  seq INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  update_id TEXT NOT NULL REFERENCES metadata_update (id),
  event TEXT NOT NULL,
  from_state TEXT NOT NULL,
  to_state TEXT NOT NULL,
  why TEXT NOT NULL
) STRICT;
CREATE INDEX metadata_history_by_update ON metadata_history (update_id);
CREATE TRIGGER metadata_history_is_a_fact BEFORE UPDATE ON metadata_history
BEGIN SELECT RAISE(ABORT, 'history does not change'); END;
CREATE TRIGGER metadata_history_stays BEFORE DELETE ON metadata_history
BEGIN SELECT RAISE(ABORT, 'history is never deleted'); END;

CREATE TRIGGER metadata_update_begins BEFORE INSERT ON metadata_update
WHEN NEW.state <> 'pending'
BEGIN SELECT RAISE(ABORT, 'an update begins as pending'); END;
CREATE TRIGGER metadata_update_transition BEFORE UPDATE OF state ON metadata_update
WHEN OLD.state <> NEW.state
  AND OLD.state || '>' || NEW.state NOT IN ({metadata_update_transitions})
BEGIN SELECT RAISE(ABORT, 'no such transition of an update'); END;
CREATE TRIGGER metadata_update_counted AFTER INSERT ON metadata_update
BEGIN
  INSERT INTO state_count VALUES ('metadata_update', NEW.destination, NEW.state, 1)
  ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER metadata_update_recounted AFTER UPDATE OF state ON metadata_update
WHEN OLD.state <> NEW.state
BEGIN
  UPDATE state_count SET count = count - 1
  WHERE subject = 'metadata_update' AND destination = OLD.destination AND state = OLD.state;
  INSERT INTO state_count VALUES ('metadata_update', NEW.destination, NEW.state, 1)
  ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER metadata_update_stays BEFORE DELETE ON metadata_update
BEGIN SELECT RAISE(ABORT, 'an update is never deleted'); END;
CREATE TRIGGER metadata_update_is_a_fact
BEFORE UPDATE OF seq, id, order_id, kind, destination, study_instance_uid, image_set_id,
  seen_version, revert_to, include_study, force, reverts, patient_hash, requested_by, requested_at
ON metadata_update
BEGIN SELECT RAISE(ABORT, 'what was ordered does not change'); END;
CREATE TRIGGER metadata_attribute_is_a_fact BEFORE UPDATE ON metadata_attribute
BEGIN SELECT RAISE(ABORT, 'what was ordered does not change'); END;
CREATE TRIGGER metadata_step_transition BEFORE UPDATE OF state ON metadata_step
WHEN OLD.state <> NEW.state
  AND OLD.state || '>' || NEW.state NOT IN ({metadata_step_transitions})
BEGIN SELECT RAISE(ABORT, 'no such transition of a step'); END;
CREATE TRIGGER metadata_step_stays BEFORE DELETE ON metadata_step WHEN OLD.state = 'applied'
BEGIN SELECT RAISE(ABORT, 'what was applied is never forgotten'); END;
)";

}  // namespace

std::string ledger_schema_of_updates() {
  return fill_in_states(std::string(kUpdates));
}

}  // namespace isthmus
