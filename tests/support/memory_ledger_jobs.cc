// MemoryLedger: what submitter, watcher and reconciler ask for.
#include <algorithm>
#include <set>

#include "support/memory_ledger.h"

namespace isthmus::test {
namespace {

Error no_transition(std::string what) {
  return permanent_error("ledger.no_transition", "The state table does not have it: " + what + ".");
}
Error not_found(std::string what) {
  return permanent_error("ledger.not_found", "There is no such " + what + ".");
}

}  // namespace

// --- submitter
// -------------------------------------------------------------------------------------

Result<std::vector<Batch>> MemoryLedger::due_batches(std::string_view destination, BatchState state,
                                                     WallTime at, std::size_t limit) {
  if (auto error = admit("due_batches")) return *error;
  const Lock lock(mutex_);
  std::vector<Batch> due;
  for (const BatchRow* row : stat_first()) {
    const Batch& b = row->batch;
    if (b.destination != destination || b.state != state || !b.next_attempt_at) continue;
    if (*b.next_attempt_at <= at && due.size() < limit) due.push_back(b);
  }
  return due;
}

Result<std::optional<WallTime>> MemoryLedger::next_batch_at(std::string_view destination,
                                                            BatchState state) {
  if (auto error = admit("next_batch_at")) return *error;
  const Lock lock(mutex_);
  std::optional<WallTime> first;
  for (const BatchRow& row : batches_) {
    const Batch& b = row.batch;
    if (b.destination != destination || b.state != state || !b.next_attempt_at) continue;
    if (!first || *b.next_attempt_at < *first) first = b.next_attempt_at;
  }
  return first;
}

Result<ImportIntent> MemoryLedger::intend(const BatchId& batch, std::string_view object_prefix) {
  if (auto error = admit("intend")) return *error;
  Lock lock(mutex_);
  const BatchRow* row = find(batch);
  if (row == nullptr) return not_found("batch");
  if (row->batch.state != BatchState::staged) return no_transition("intend");
  for (const JobRow& job : jobs_) {
    if (job.job.intent.batch == batch && job.job.state == ImportJobState::intended) {
      return job.job.intent;
    }
  }
  JobRow& made = jobs_.emplace_back();
  ImportIntent& intent = made.job.intent;
  intent.id = ImportJobId::make(env_);
  intent.batch = batch;
  intent.client_token = intent.id.text();
  intent.job_name = layout::job_name(intent.id);
  intent.input_prefix = layout::batch_prefix(object_prefix, batch);
  intent.output_prefix = layout::job_output_prefix(object_prefix, batch, intent.id);
  intent.intended_at = made.changed_at = now();
  made.job.destination = row->batch.destination;
  write_history("import_job", intent.id.text(), "intended", "", "intended", "");
  const ImportIntent copy = intent;
  changed(std::move(lock));
  return copy;
}

Result<bool> MemoryLedger::intent_is_inherited(const ImportJobId& job) {
  if (auto error = admit("intent_is_inherited")) return *error;
  const Lock lock(mutex_);
  const JobRow* row = find(job);
  if (row == nullptr) return not_found("import job");
  return row->inherited;
}

Result<void> MemoryLedger::job_started(const ImportJobId& job, const RemoteJob& remote,
                                       WallTime next_poll) {
  if (auto error = admit("job_started")) return *error;
  Lock lock(mutex_);
  JobRow* row = find(job);
  if (row == nullptr) return not_found("import job");
  BatchRow& batch = *find(row->job.intent.batch);
  if (!next(row->job.state, ImportJobEvent::started) ||
      !next(batch.batch.state, BatchEvent::job_started)) {
    return no_transition("job_started");
  }
  move(*row, ImportJobEvent::started, remote.id);
  move(batch, BatchEvent::job_started, remote.id);
  row->job.remote = remote;
  row->job.started_at = now();
  row->job.next_poll_at = next_poll;
  batch.batch.next_attempt_at.reset();
  changed(std::move(lock));
  return {};
}

Result<void> MemoryLedger::postpone_batch(const BatchId& batch, const Error& error,
                                          WallTime next_date) {
  if (auto refused = admit("postpone_batch")) return *refused;
  Lock lock(mutex_);
  BatchRow* row = find(batch);
  if (row == nullptr) return not_found("batch");
  const BatchState state = row->batch.state;
  if (is_final(state) || asks_for_person(state)) return no_transition("postpone_batch");
  ++row->batch.attempts;
  row->batch.next_attempt_at = next_date;
  row->batch.reason_code = error.code;
  row->batch.reason = error.message;
  changed(std::move(lock));
  return {};
}

Result<std::int64_t> MemoryLedger::jobs_in_flight(std::string_view destination) {
  if (auto error = admit("jobs_in_flight")) return *error;
  const Lock lock(mutex_);
  return std::ranges::count_if(jobs_, [&](const JobRow& row) {
    return row.job.destination == destination &&
           (row.job.state == ImportJobState::intended || row.job.state == ImportJobState::running);
  });
}

// --- watcher
// ---------------------------------------------------------------------------------------

Result<std::vector<ImportJob>> MemoryLedger::due_jobs(std::string_view destination, WallTime at,
                                                      std::size_t limit) {
  if (auto error = admit("due_jobs")) return *error;
  const Lock lock(mutex_);
  std::vector<ImportJob> due;
  for (const JobRow& row : jobs_) {
    if (row.job.destination != destination || row.job.state != ImportJobState::running) continue;
    if (row.job.next_poll_at && *row.job.next_poll_at <= at && due.size() < limit) {
      due.push_back(row.job);
    }
  }
  return due;
}

Result<std::optional<WallTime>> MemoryLedger::next_poll_at(std::string_view destination) {
  if (auto error = admit("next_poll_at")) return *error;
  const Lock lock(mutex_);
  std::optional<WallTime> first;
  for (const JobRow& row : jobs_) {
    if (row.job.destination != destination || row.job.state != ImportJobState::running) continue;
    if (!first || *row.job.next_poll_at < *first) first = row.job.next_poll_at;
  }
  return first;
}

Result<void> MemoryLedger::postpone_poll(const ImportJobId& job, WallTime next_date) {
  if (auto error = admit("postpone_poll")) return *error;
  Lock lock(mutex_);
  JobRow* row = find(job);
  if (row == nullptr) return not_found("import job");
  if (row->job.state != ImportJobState::running) return no_transition("postpone_poll");
  ++row->job.polls;
  row->job.next_poll_at = next_date;
  changed(std::move(lock));
  return {};
}

Result<void> MemoryLedger::job_ended(const ImportJobId& job, ImportJobEvent event,
                                     const std::string& message, const std::string& output_prefix,
                                     WallTime next_date) {
  if (auto error = admit("job_ended")) return *error;
  Lock lock(mutex_);
  JobRow* row = find(job);
  if (row == nullptr) return not_found("import job");
  BatchRow& batch = *find(row->job.intent.batch);
  const bool well = event == ImportJobEvent::ended_well;
  const BatchEvent batch_event = well ? BatchEvent::job_ended : BatchEvent::job_failed;
  if (row->job.state != ImportJobState::running || event == ImportJobEvent::started ||
      !next(batch.batch.state, batch_event)) {
    return no_transition("job_ended");
  }
  move(*row, event, message);
  move(batch, batch_event, message);
  row->job.remote->output_prefix = output_prefix;
  row->job.ended_at = now();
  row->job.next_poll_at.reset();
  row->job.message = message;
  batch.batch.next_attempt_at = next_date;
  batch.batch.attempts = well ? 0 : batch.batch.attempts + 1;
  batch.batch.reason_code = well ? "" : "import.job_failed";
  batch.batch.reason = well ? "" : message;
  changed(std::move(lock));
  return {};
}

// --- reconciler
// ------------------------------------------------------------------------------------

Result<ImportJob> MemoryLedger::settling_job(const BatchId& batch) {
  if (auto error = admit("settling_job")) return *error;
  const Lock lock(mutex_);
  for (const JobRow& row : jobs_) {
    if (row.job.intent.batch == batch && row.job.state == ImportJobState::succeeded) return row.job;
  }
  return not_found("job that settles this batch");
}

Result<std::vector<Expected>> MemoryLedger::expected(const BatchId& batch,
                                                     std::string_view object_prefix) {
  if (auto error = admit("expected")) return *error;
  const Lock lock(mutex_);
  if (find(batch) == nullptr) return not_found("batch");
  std::vector<Expected> all;
  for (const DeliveryRow* row : members(batch)) {
    const Instance& instance = find(row->delivery.instance)->instance;
    all.push_back({row->delivery.id, layout::staged_object(object_prefix, batch, instance.id),
                   instance.sop_instance_uid, row->unaccounted});
  }
  return all;
}

Result<void> MemoryLedger::record_outcomes(const BatchId& batch,
                                           const std::vector<OutcomeRecord>& outcomes) {
  if (auto error = admit("record_outcomes")) return *error;
  Lock lock(mutex_);
  BatchRow* row = find(batch);
  if (row == nullptr) return not_found("batch");
  if (row->batch.state != BatchState::settled) return no_transition("outcomes_recorded");
  std::set<DeliveryId> missing;
  for (const DeliveryRow* member : members(batch)) missing.insert(member->delivery.id);
  for (const OutcomeRecord& record : outcomes) {
    if (missing.erase(record.outcome.delivery) == 0) {
      return permanent_error("ledger.outcomes_incomplete",
                             "An outcome is doubled, or of an instance that is not in the batch.");
    }
  }
  if (!missing.empty()) {
    return permanent_error("ledger.outcomes_incomplete", "A member of the batch has no outcome.");
  }
  std::string remote;
  for (const JobRow& job : jobs_) {
    if (job.job.intent.batch == batch && job.job.remote) remote = job.job.remote->id;
  }
  const std::set<std::string> named = uids_of(members(batch));
  for (const OutcomeRecord& record : outcomes) {
    settle(*find(record.outcome.delivery), record, remote);
    ++row->outcomes[record.outcome.kind];
  }
  move(*row, BatchEvent::outcomes_recorded, "");
  row->batch.next_attempt_at.reset();
  changed(std::move(lock));
  commitments_.look_now(named);
  return {};
}

void MemoryLedger::settle(DeliveryRow& row, const OutcomeRecord& record,
                          const std::string& remote_job) {
  const Outcome& outcome = record.outcome;
  const std::string why =
      outcome.reason_code.empty() ? "" : outcome.reason_code + ": " + outcome.reason;
  row.import_job = remote_job;
  row.delivery.reason_code = outcome.reason_code;
  row.delivery.reason = outcome.reason;
  row.delivery.next_attempt_at.reset();
  if (outcome.kind == OutcomeKind::imported) {
    move(row, DeliveryEvent::outcome_imported, why);
    row.delivery.image_set_id = outcome.image_set_id;
    row.delivery.image_set_version = outcome.image_set_version;
    row.delivery.primary = outcome.primary;
    return;
  }
  if (outcome.kind == OutcomeKind::rejected) {
    move(row, DeliveryEvent::outcome_rejected, why);
    return;
  }
  ++row.delivery.attempts;
  ++row.unaccounted;
  row.delivery.batch.reset();
  move(row, DeliveryEvent::outcome_unaccounted, why);
  row.delivery.next_attempt_at = record.next_attempt_at;
  if (!record.next_attempt_at) move(row, DeliveryEvent::attempts_exhausted, why);
}

}  // namespace isthmus::test
