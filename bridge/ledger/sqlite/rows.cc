#include "ledger/sqlite/rows.h"

#include "ledger/sqlite/statements.h"

namespace isthmus {
namespace {

template <typename State>
State known(std::optional<State> state) {
  ASSERT(state.has_value());  // the table's CHECK holds this
  return *state;
}

DeliveryRow delivery_row_of(sql::Columns columns) {
  DeliveryRow row;
  row.id = id_from<DeliveryId>(columns.text());
  row.instance = id_from<InstanceId>(columns.text());
  row.destination = columns.text();
  row.state = known(delivery_state_from(columns.text()));
  row.state_since = columns.time();
  row.batch = optional_id_from<BatchId>(columns.optional_text());
  row.upload_attempts = columns.integer();
  row.import_attempts = columns.integer();
  row.next_attempt_at = columns.optional_time();
  row.reason_code = columns.text();
  row.reason = columns.text();
  row.etag = columns.text();
  row.staged_at = columns.optional_time();
  row.image_set_id = columns.text();
  row.image_set_version = columns.optional_integer();
  row.primary = columns.optional_boolean();
  return row;
}

// Zero rows means that somebody else moved it since it was read.
Result<void> stored(Result<std::int64_t> changed, std::string_view subject, std::string_view from) {
  if (!changed.ok()) return std::move(changed).error();
  if (*changed != 1) return no_transition(subject, from, "a change of a row");
  return {};
}

Result<void> store(Write& write, const DeliveryRow& row, DeliveryState from) {
  return stored(write.db.run(statement::store_delivery,
                             {to_string(row.state), row.state_since, row.batch, row.upload_attempts,
                              row.import_attempts, row.next_attempt_at, row.reason_code, row.reason,
                              row.etag, row.staged_at, row.image_set_id, row.image_set_version,
                              row.primary, row.id, to_string(from)}),
                "delivery", to_string(from));
}

Result<void> store(Write& write, const BatchRow& row, BatchState from) {
  const Batch& batch = row.batch;
  const bool moved = batch.state != from;
  const std::optional<WallTime> since = moved ? std::optional(write.now) : std::nullopt;
  const std::optional<WallTime> ended =
      moved && is_final(batch.state) ? std::optional(write.now) : std::nullopt;
  return stored(write.db.run(statement::store_batch,
                             {batch.study_instance_uid, to_string(batch.state), since,
                              batch.members, batch.size_bytes, batch.attempts, batch.last_joined_at,
                              batch.next_attempt_at, batch.reason_code, batch.reason, row.imported,
                              row.rejected, row.unaccounted, ended, batch.id, to_string(from)}),
                "batch", to_string(from));
}

Result<void> store(Write& write, const ImportJob& job, ImportJobState from) {
  const std::optional<WallTime> since = job.state != from ? std::optional(write.now) : std::nullopt;
  std::optional<std::string> remote_id;
  std::string remote_output_prefix;
  if (job.remote) {
    remote_id = job.remote->id;
    remote_output_prefix = job.remote->output_prefix;
  }
  return stored(write.db.run(statement::store_import_job,
                             {to_string(job.state), since, remote_id, remote_output_prefix,
                              job.polls, job.next_poll_at, job.started_at, job.ended_at,
                              job.message, job.intent.id, to_string(from)}),
                "import job", to_string(from));
}

// I2 where states are given: a date exactly while the row goes on by itself.
template <typename State>
void set_date(State state, std::optional<WallTime>& date, WallTime now) {
  if (is_final(state) || asks_for_person(state)) {
    date.reset();
  } else if (!date) {
    date = now;
  }
}

}  // namespace

Error no_transition(std::string_view subject, std::string_view from, std::string_view event) {
  return permanent_error("ledger.no_transition", "A " + std::string(subject) + " that is " +
                                                     std::string(from) + " does not take " +
                                                     std::string(event) +
                                                     ", or it was moved in the meantime.");
}

Error not_found(std::string_view subject) {
  return permanent_error("ledger.not_found",
                         "There is no such " + std::string(subject) + " in the ledger.");
}

Result<DeliveryRow> load_delivery(sql::Database& db, const DeliveryId& id) {
  TRY_ASSIGN(const auto rows, collect(db.query(statement::load_delivery, {id}), delivery_row_of));
  if (rows.empty()) return not_found("delivery");
  return rows.front();
}

Result<BatchRow> load_batch(sql::Database& db, const BatchId& id) {
  TRY_ASSIGN(const auto rows, collect(db.query(statement::load_batch, {id}), batch_of));
  if (rows.empty()) return not_found("batch");
  return rows.front();
}

Result<ImportJob> load_import_job(sql::Database& db, const ImportJobId& id) {
  TRY_ASSIGN(const auto rows, collect(db.query(statement::load_import_job, {id}), import_job_of));
  if (rows.empty()) return not_found("import job");
  return rows.front();
}

// Not the hash of a patient identifier that is spelled the same.
std::string accession_hash_of(ByteSpan key, std::string_view accession_number) {
  return hmac_sha256(key, as_bytes("accession number:" + std::string(accession_number))).hex();
}

Result<void> insert_instance(Write& write, const Arrival& arrival, const KeyedHashes& hashes,
                             const std::optional<InstanceId>& conflicts_with,
                             bool identity_conflict) {
  const Identity& identity = arrival.identity;
  const Origin& origin = arrival.origin;
  TRY(write.db.run(statement::insert_instance, {arrival.id,
                                                identity.sop_class_uid,
                                                identity.sop_instance_uid,
                                                identity.series_instance_uid,
                                                identity.study_instance_uid,
                                                hashes.patient,
                                                identity.modality,
                                                origin.receiver,
                                                origin.calling_ae_title,
                                                origin.called_ae_title,
                                                origin.peer_address,
                                                origin.association_id,
                                                arrival.transfer_syntax_uid,
                                                arrival.size_bytes,
                                                arrival.dataset_offset_bytes,
                                                arrival.dataset_digest,
                                                arrival.file_digest,
                                                arrival.spool_ref.text,
                                                arrival.received_at,
                                                conflicts_with,
                                                identity_conflict,
                                                hashes.accession}));
  return note(write, "instance", arrival.id.text(), "received", "", "received");
}

Result<DeliveryRow> insert_delivery(Write& write, const InstanceId& instance,
                                    const std::string& destination) {
  DeliveryRow row;
  row.id = DeliveryId::make(write.env);
  row.instance = instance;
  row.destination = destination;
  row.state_since = write.now;
  row.next_attempt_at = write.now;
  TRY(write.db.run(statement::insert_delivery,
                   {row.id, instance, destination, to_string(row.state), write.now, write.now}));
  return row;
}

Result<BatchRow> insert_batch(Write& write, std::string_view destination, Lane lane) {
  BatchRow row;
  row.batch.id = BatchId::make(write.env);
  row.batch.destination = destination;
  row.batch.lane = lane;
  row.batch.opened_at = write.now;
  row.batch.last_joined_at = write.now;
  row.batch.next_attempt_at = write.now;
  const std::string_view state = to_string(row.batch.state);
  TRY(write.db.run(statement::insert_batch, {row.batch.id, destination, state, write.now, write.now,
                                             write.now, write.now, to_string(lane)}));
  TRY(note(write, "batch", row.batch.id.text(), "opened", "", state));
  return row;
}

Result<void> insert_import_job(Write& write, const ImportJob& job, const std::string& session) {
  const ImportIntent& intent = job.intent;
  const std::string_view state = to_string(job.state);
  TRY(write.db.run(
      statement::insert_import_job,
      {intent.id, intent.batch, job.destination, state, write.now, intent.client_token,
       intent.job_name, intent.input_prefix, intent.output_prefix, session, intent.intended_at}));
  return note(write, "import_job", intent.id.text(), "intended", "", state);
}

Result<void> apply(Write& write, DeliveryRow& row, DeliveryEvent event, const Error* why) {
  const DeliveryState from = row.state;
  const auto to = next(from, event);
  if (!to) return no_transition("delivery", to_string(from), to_string(event));
  row.state = *to;
  row.state_since = write.now;
  set_date(*to, row.next_attempt_at, write.now);
  TRY(store(write, row, from));
  return note(write, "delivery", row.id.text(), to_string(event), to_string(from), to_string(*to),
              why);
}

Result<void> apply(Write& write, BatchRow& row, BatchEvent event, const Error* why) {
  const BatchState from = row.batch.state;
  const auto to = next(from, event);
  if (!to) return no_transition("batch", to_string(from), to_string(event));
  row.batch.state = *to;
  set_date(*to, row.batch.next_attempt_at, write.now);
  TRY(store(write, row, from));
  return note(write, "batch", row.batch.id.text(), to_string(event), to_string(from),
              to_string(*to), why);
}

Result<void> apply(Write& write, ImportJob& row, ImportJobEvent event, const Error* why) {
  const ImportJobState from = row.state;
  const auto to = next(from, event);
  if (!to) return no_transition("import job", to_string(from), to_string(event));
  row.state = *to;
  if (*to == ImportJobState::running) {
    if (!row.next_poll_at) row.next_poll_at = write.now;
  } else {
    row.next_poll_at.reset();
    row.ended_at = write.now;
  }
  TRY(store(write, row, from));
  return note(write, "import_job", row.intent.id.text(), to_string(event), to_string(from),
              to_string(*to), why);
}

Result<bool> retry_delivery(Write& write, const DeliveryId& id) {
  TRY_ASSIGN(DeliveryRow row, load_delivery(write.db, id));
  if (!next(row.state, DeliveryEvent::retry_ordered)) return false;
  row.batch.reset();
  row.upload_attempts = 0;
  row.import_attempts = 0;
  row.next_attempt_at = write.now;
  row.reason_code.clear();
  row.reason.clear();
  TRY(apply(write, row, DeliveryEvent::retry_ordered));
  return true;
}

Result<void> save(Write& write, const DeliveryRow& row) {
  return store(write, row, row.state);
}
Result<void> save(Write& write, const BatchRow& row) {
  return store(write, row, row.batch.state);
}
Result<void> save(Write& write, const ImportJob& row) {
  return store(write, row, row.state);
}

Result<void> note(Write& write, std::string_view subject, const std::string& subject_id,
                  std::string_view event, std::string_view from, std::string_view to,
                  const Error* why) {
  std::string text;
  if (why != nullptr) text = why->message.empty() ? why->code : why->code + ": " + why->message;
  TRY(write.db.run(statement::insert_history,
                   {write.now, subject, subject_id, event, from, to, text}));
  return {};
}

Instance instance_of(sql::Columns columns) {
  Instance instance;
  instance.id = id_from<InstanceId>(columns.text());
  instance.sop_class_uid = Uid::parse(columns.text()).value_or(Uid());
  instance.sop_instance_uid = Uid::parse(columns.text()).value_or(Uid());
  instance.series_instance_uid = Uid::parse(columns.text()).value_or(Uid());
  instance.study_instance_uid = Uid::parse(columns.text()).value_or(Uid());
  instance.modality = columns.text();
  instance.origin.receiver = columns.text();
  instance.origin.calling_ae_title = columns.text();
  instance.origin.called_ae_title = columns.text();
  instance.origin.peer_address = columns.text();
  instance.origin.association_id = columns.text();
  instance.transfer_syntax_uid = columns.text();
  instance.size_bytes = columns.unsigned_integer();
  instance.dataset_offset_bytes = columns.unsigned_integer();
  instance.dataset_digest = Digest::from_hex(columns.text()).value_or(Digest());
  instance.file_digest = Digest::from_hex(columns.text()).value_or(Digest());
  instance.spool_ref.text = columns.text();
  instance.received_at = columns.time();
  instance.conflicts_with = optional_id_from<InstanceId>(columns.optional_text());
  instance.identity_conflict = columns.boolean();
  instance.freed_at = columns.optional_time();
  instance.accession_hash = columns.text();
  return instance;
}

Delivery delivery_of(sql::Columns columns) {
  const DeliveryRow row = delivery_row_of(columns);
  Delivery delivery;
  delivery.id = row.id;
  delivery.instance = row.instance;
  delivery.destination = row.destination;
  delivery.state = row.state;
  delivery.batch = row.batch;
  delivery.attempts = row.upload_attempts + row.import_attempts;
  delivery.next_attempt_at = row.next_attempt_at;
  delivery.reason_code = row.reason_code;
  delivery.reason = row.reason;
  delivery.image_set_id = row.image_set_id;
  delivery.image_set_version = row.image_set_version;
  delivery.primary = row.primary;
  delivery.changed_at = row.state_since;
  return delivery;
}

BatchRow batch_of(sql::Columns columns) {
  BatchRow row;
  Batch& batch = row.batch;
  batch.id = id_from<BatchId>(columns.text());
  batch.destination = columns.text();
  batch.study_instance_uid = Uid::parse(columns.text()).value_or(Uid());
  batch.state = known(batch_state_from(columns.text()));
  batch.members = columns.integer();
  batch.size_bytes = columns.unsigned_integer();
  batch.attempts = columns.integer();
  batch.opened_at = columns.time();
  batch.last_joined_at = columns.time();
  batch.next_attempt_at = columns.optional_time();
  batch.reason_code = columns.text();
  batch.reason = columns.text();
  row.imported = columns.integer();
  row.rejected = columns.integer();
  row.unaccounted = columns.integer();
  batch.lane = lane_from(columns.text());
  return row;
}

ImportJob import_job_of(sql::Columns columns) {
  ImportJob job;
  job.intent.id = id_from<ImportJobId>(columns.text());
  job.intent.batch = id_from<BatchId>(columns.text());
  job.destination = columns.text();
  job.state = known(import_job_state_from(columns.text()));
  job.intent.client_token = columns.text();
  job.intent.job_name = columns.text();
  job.intent.input_prefix = columns.text();
  job.intent.output_prefix = columns.text();
  job.intent.intended_at = columns.time();
  const std::optional<std::string> remote_id = columns.optional_text();
  std::string remote_output_prefix = columns.text();
  if (remote_id) job.remote = RemoteJob{*remote_id, std::move(remote_output_prefix)};
  job.polls = columns.integer();
  job.next_poll_at = columns.optional_time();
  job.started_at = columns.optional_time();
  job.ended_at = columns.optional_time();
  job.message = columns.text();
  return job;
}

HistoryEntry history_entry_of(sql::Columns columns) {
  HistoryEntry entry;
  entry.at = columns.time();
  entry.subject = columns.text();
  entry.subject_id = columns.text();
  entry.event = columns.text();
  entry.from_state = columns.text();
  entry.to_state = columns.text();
  entry.why = columns.text();
  return entry;
}

}  // namespace isthmus
