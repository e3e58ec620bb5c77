#include "ledger/sqlite/schema.h"

#include <array>
#include <string_view>

#include "ledger/sqlite/access_schema.h"
#include "ledger/sqlite/receiver_rows.h"
#include "ledger/sqlite/sender_schema.h"
#include "ledger/sqlite/update_schema.h"
#include "model/outcome.h"
#include "model/transitions.h"

namespace isthmus {
namespace {

// Replaces every {name} in a script. The names are ours.
std::string fill_in(std::string script,
                    std::initializer_list<std::pair<std::string_view, std::string>> values) {
  for (const auto& [name, value] : values) {
    const std::string mark = "{" + std::string(name) + "}";
    for (auto at = script.find(mark); at != std::string::npos; at = script.find(mark, at)) {
      script.replace(at, mark.size(), value);
      at += value.size();
    }
  }
  return script;
}

// "'waiting', 'staged'": those of `states` that `wanted` takes.
template <typename State, typename Wanted>
std::string quoted(std::span<const State> states, Wanted wanted) {
  std::string list;
  for (const State state : states) {
    if (!wanted(state)) continue;
    if (!list.empty()) list += ", ";
    list += "'" + std::string(to_string(state)) + "'";
  }
  return list;
}

template <typename State>
std::string all(std::span<const State> states) {
  return quoted(states, [](State) { return true; });
}

// Neither final nor asking for a person: these must have a date (invariant I2).
template <typename State>
std::string on_the_way(std::span<const State> states) {
  return quoted(states, [](State state) { return !is_final(state) && !asks_for_person(state); });
}

// "'waiting>staged', …": what may follow what.
template <typename State, typename Event>
std::string pairs(std::span<const Transition<State, Event>> transitions) {
  std::string list;
  for (const auto& transition : transitions) {
    if (!list.empty()) list += ", ";
    list += "'" + std::string(to_string(transition.from)) + ">" +
            std::string(to_string(transition.to)) + "'";
  }
  return list;
}

// What a delivery could be when version 1 was released; migration_discard.cc brought the rest.
constexpr std::string_view kDeliveryStatesV1 =
    "'waiting', 'staged', 'imported', 'rejected', 'quarantined'";
constexpr std::string_view kDeliveryPairsV1 =
    "'waiting>staged', 'staged>imported', 'staged>rejected', 'staged>waiting', "
    "'waiting>quarantined', 'staged>quarantined', 'waiting>quarantined', "
    "'staged>quarantined', 'staged>waiting', 'rejected>waiting', 'quarantined>waiting'";

// Guards of one table with states: first state, changes of state, and the running count of each.
constexpr std::string_view kStateTriggers = R"(
CREATE TRIGGER {table}_begins BEFORE INSERT ON {table} WHEN NEW.state <> '{first}'
BEGIN SELECT RAISE(ABORT, 'a {table} begins as {first}'); END;
CREATE TRIGGER {table}_transition BEFORE UPDATE OF state ON {table}
WHEN OLD.state <> NEW.state AND OLD.state || '>' || NEW.state NOT IN ({pairs})
BEGIN SELECT RAISE(ABORT, 'no such transition of a {table}'); END;
CREATE TRIGGER {table}_counted AFTER INSERT ON {table}
BEGIN
  INSERT INTO state_count VALUES ('{table}', NEW.destination, NEW.state, 1)
  ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER {table}_recounted AFTER UPDATE OF state ON {table} WHEN OLD.state <> NEW.state
BEGIN
  UPDATE state_count SET count = count - 1
  WHERE subject = '{table}' AND destination = OLD.destination AND state = OLD.state;
  INSERT INTO state_count VALUES ('{table}', NEW.destination, NEW.state, 1)
  ON CONFLICT DO UPDATE SET count = count + 1;
END;
CREATE TRIGGER {table}_stays BEFORE DELETE ON {table}
BEGIN SELECT RAISE(ABORT, 'a {table} is never deleted'); END;
)";

std::string state_triggers(std::string_view table, std::string_view first, std::string legal) {
  return fill_in(
      std::string(kStateTriggers),
      {{"table", std::string(table)}, {"first", std::string(first)}, {"pairs", std::move(legal)}});
}

constexpr std::string_view kInstances = R"(
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
)";

constexpr std::string_view kBatches = R"(
CREATE TABLE batch (
  id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 32),
  destination TEXT NOT NULL,
  study_instance_uid TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ({batch_states})),
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
  CONSTRAINT batch_has_a_date CHECK ((next_attempt_at IS NOT NULL) = (state IN ({batch_moving}))),
  CONSTRAINT batch_has_an_end CHECK ((ended_at IS NOT NULL) = (state IN ({batch_final}))),
  -- I4: every member of a reconciled batch has its outcome.
  CONSTRAINT batch_adds_up
  CHECK (state <> 'reconciled' OR imported + rejected + unaccounted = members)
) STRICT;
CREATE INDEX batch_by_state ON batch (state, destination, next_attempt_at);
CREATE INDEX batch_with_objects ON batch (destination, ended_at)
WHERE ended_at IS NOT NULL AND objects_removed_at IS NULL;
)";

constexpr std::string_view kDeliveries = R"(
CREATE TABLE delivery (
  id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 32),
  instance_id TEXT NOT NULL REFERENCES instance (id),
  destination TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ({delivery_states})),
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
  CHECK ((next_attempt_at IS NOT NULL) = (state IN ({delivery_moving}))),
  CONSTRAINT delivery_staged_in_batch CHECK (state <> 'staged' OR batch_id IS NOT NULL)
) STRICT;
CREATE INDEX delivery_waiting ON delivery (destination, next_attempt_at)
WHERE state = 'waiting' AND batch_id IS NULL;
CREATE INDEX delivery_by_batch ON delivery (batch_id, state, next_attempt_at)
WHERE batch_id IS NOT NULL;
CREATE INDEX delivery_not_imported ON delivery (state, destination, state_since)
WHERE state <> 'imported';
)";

constexpr std::string_view kImportJobs = R"(
CREATE TABLE import_job (
  id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 32),
  batch_id TEXT NOT NULL REFERENCES batch (id),
  destination TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ({import_job_states})),
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
  kind TEXT NOT NULL CHECK (kind IN ({outcome_kinds})),
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
)";

constexpr std::string_view kStories = R"(
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
)";

std::string outcome_kinds() {
  std::string list;
  for (const OutcomeKind kind :
       {OutcomeKind::imported, OutcomeKind::rejected, OutcomeKind::unaccounted}) {
    if (!list.empty()) list += ", ";
    list += "'" + std::string(to_string(kind)) + "'";
  }
  return list;
}

// The key under which patient identifiers are hashed: made once, never leaves the file.
Result<void> make_patient_key(Env& env, sql::Database& database) {
  Bytes key(32);
  env.entropy.fill(key);
  TRY(database.run("INSERT INTO meta VALUES ('patient_key', ?)", {key}));
  return {};
}

}  // namespace

std::string fill_in_states(std::string script) {
  const auto final_batches =
      quoted(all_batch_states(), [](BatchState state) { return is_final(state); });
  return fill_in(std::move(script),
                 {{"delivery_states", all(all_delivery_states())},
                  {"delivery_moving", on_the_way(all_delivery_states())},
                  {"batch_states", all(all_batch_states())},
                  {"batch_moving", on_the_way(all_batch_states())},
                  {"batch_final", final_batches},
                  {"import_job_states", all(all_import_job_states())},
                  {"outcome_kinds", outcome_kinds()},
                  {"commitment_states", all(all_commitment_states())},
                  {"commitment_moving", on_the_way(all_commitment_states())},
                  {"commitment_transitions", pairs(commitment_transitions())},
                  {"metadata_update_states", all(all_metadata_update_states())},
                  {"metadata_update_moving", on_the_way(all_metadata_update_states())},
                  {"metadata_update_transitions", pairs(metadata_update_transitions())},
                  {"metadata_step_states", all(all_metadata_step_states())},
                  {"metadata_step_transitions", pairs(metadata_step_transitions())}});
}

std::string ledger_schema_v1() {
  std::string script;
  for (const std::string_view part : {kInstances, kBatches, kDeliveries, kImportJobs, kStories}) {
    script += part;
  }
  script = fill_in(std::move(script), {{"delivery_states", std::string(kDeliveryStatesV1)}});
  return fill_in_states(std::move(script)) +
         state_triggers("delivery", "waiting", std::string(kDeliveryPairsV1)) +
         state_triggers("batch", "open", pairs(batch_transitions())) +
         state_triggers("import_job", "intended", pairs(import_job_transitions()));
}

std::vector<sql::Migration> ledger_migrations(Env& env) {
  return {
      {ledger_schema_v1(), [&env](sql::Database& db) { return make_patient_key(env, db); }},
      {ledger_schema_commitments(), {}},
      {held_instances_migration(), {}},
      {ledger_schema_of_senders(), {}},
      {ledger_schema_of_access(), {}},
      {ledger_schema_of_receivers(), {}},
      {ledger_schema_of_updates(), {}},
      {bytes_again_migration(), {}},
      {commitment_lookup_migration(), {}},
      {discard_migration(), deliveries_can_be_discarded},
      {accession_migration(), {}},
      {lanes_migration(), {}},
  };
}

}  // namespace isthmus
