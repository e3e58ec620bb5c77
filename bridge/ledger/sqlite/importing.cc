// What the submitter, the watcher and the reconciler ask of the ledger.
#include <set>

#include "ledger/sqlite/sqlite_ledger.h"
#include "ledger/sqlite/statements.h"

namespace isthmus {
namespace {

// 128 random bits: two intents never share a token, and nobody guesses one.
std::string make_client_token(Env& env) {
  Bytes raw(16);
  env.entropy.fill(raw);
  return to_hex(raw);
}

Result<void> record_outcome(Write& write, const BatchId& batch, const Outcome& outcome) {
  TRY(write.db.run(
      statement::insert_outcome,
      {batch, outcome.delivery, to_string(outcome.kind), outcome.reason_code, outcome.reason,
       outcome.image_set_id, outcome.image_set_version, outcome.primary, write.now}));
  std::int64_t place = 0;
  for (const OutcomeWarning& warning : outcome.warnings) {
    TRY(write.db.run(statement::insert_warning, {batch, outcome.delivery, place++, warning.code,
                                                 warning.type, warning.message}));
  }
  return {};
}

// What an outcome does to its delivery.
Result<void> conclude(Write& write, BatchRow& batch, const OutcomeRecord& record) {
  const Outcome& outcome = record.outcome;
  TRY_ASSIGN(DeliveryRow row, load_delivery(write.db, outcome.delivery));
  const Error why = permanent_error(outcome.reason_code, outcome.reason);
  row.reason_code = outcome.reason_code;
  row.reason = outcome.reason;
  switch (outcome.kind) {
    case OutcomeKind::imported:
      ++batch.imported;
      row.image_set_id = outcome.image_set_id;
      row.image_set_version = outcome.image_set_version;
      row.primary = outcome.primary;
      TRY(apply(write, row, DeliveryEvent::outcome_imported));
      TRY(write.db.run(statement::note_all_imported, {write.now, row.instance}));
      return {};
    case OutcomeKind::rejected:
      ++batch.rejected;
      return apply(write, row, DeliveryEvent::outcome_rejected, &why);
    case OutcomeKind::unaccounted:
      break;
  }
  ++batch.unaccounted;
  ++row.import_attempts;
  row.batch.reset();
  row.next_attempt_at = record.next_attempt_at;
  const auto event = record.next_attempt_at ? DeliveryEvent::outcome_unaccounted
                                            : DeliveryEvent::attempts_exhausted;
  if (row.reason_code.empty()) row.reason_code = "unaccounted";
  return apply(write, row, event, &why);
}

// Exactly one outcome for each member.
Result<void> check_complete(sql::Database& db, const BatchId& batch,
                            const std::vector<OutcomeRecord>& outcomes) {
  TRY_ASSIGN(const auto members, collect(db.query(statement::members, {batch}),
                                         [](auto columns) { return columns.text(); }));
  std::set<std::string> missing(members.begin(), members.end());
  for (const OutcomeRecord& record : outcomes) {
    if (missing.erase(record.outcome.delivery.text()) == 1) continue;
    return permanent_error("ledger.outcomes_incomplete",
                           "An outcome is doubled, or of no member of its batch.");
  }
  if (missing.empty()) return {};
  return permanent_error("ledger.outcomes_incomplete",
                         std::to_string(missing.size()) + " members of a batch have no outcome.");
}

// Where a job's end leaves its batch.
Result<void> return_batch(Write& write, const ImportJob& job, ImportJobEvent event, WallTime next) {
  TRY_ASSIGN(BatchRow row, load_batch(write.db, job.intent.batch));
  if (event == ImportJobEvent::ended_well) {
    row.batch.attempts = 0;
    row.batch.next_attempt_at = write.now;
    row.batch.reason_code.clear();
    row.batch.reason.clear();
    return apply(write, row, BatchEvent::job_ended);
  }
  const Error why = permanent_error(
      event == ImportJobEvent::not_found ? "import.job_lost" : "import.job_failed", job.message);
  ++row.batch.attempts;
  row.batch.reason_code = why.code;
  row.batch.reason = why.message;
  row.batch.next_attempt_at = next;
  // An intent that never became a job: its batch is still staged.
  if (row.batch.state == BatchState::staged) return save(write, row);
  return apply(write, row, BatchEvent::job_failed, &why);
}

}  // namespace

// --- submitter
// -------------------------------------------------------------------------------------

Result<std::vector<Batch>> SqliteLedger::due_batches(std::string_view destination, BatchState state,
                                                     WallTime now, std::size_t limit) {
  return read([&](sql::Database& db) {
    return collect(db.query(statement::due_batches, {destination, to_string(state), now, limit}),
                   [](sql::Columns columns) { return batch_of(columns).batch; });
  });
}

Result<std::optional<WallTime>> SqliteLedger::next_batch_at(std::string_view destination,
                                                            BatchState state) {
  return read([&](sql::Database& db) {
    return db.query_time(statement::next_batch_at, {destination, to_string(state)});
  });
}

Result<ImportIntent> SqliteLedger::intend(const BatchId& batch, std::string_view object_prefix) {
  return write(Wakes::nobody, [&](Write& write) -> Result<ImportIntent> {
    TRY_ASSIGN(const BatchRow row, load_batch(write.db, batch));
    if (row.batch.state != BatchState::staged) {
      return no_transition("batch", to_string(row.batch.state), "an import intent");
    }
    TRY_ASSIGN(const auto open,
               collect(write.db.query(statement::open_job_of, {batch}), import_job_of));
    if (!open.empty()) return open.front().intent;

    ImportJob job;
    job.destination = row.batch.destination;
    ImportIntent& intent = job.intent;
    intent.id = ImportJobId::make(write.env);
    intent.batch = batch;
    intent.client_token = make_client_token(write.env);
    intent.job_name = layout::job_name(intent.id);
    intent.input_prefix = layout::batch_prefix(object_prefix, batch);
    intent.output_prefix = layout::job_output_prefix(object_prefix, batch, intent.id);
    intent.intended_at = write.now;
    TRY(insert_import_job(write, job, session_));
    return intent;
  });
}

Result<bool> SqliteLedger::intent_is_inherited(const ImportJobId& job) {
  return read([&](sql::Database& db) -> Result<bool> {
    TRY_ASSIGN(const auto session, db.query_text(statement::session_of, {job}));
    if (!session) return not_found("import job");
    return *session != session_;
  });
}

Result<void> SqliteLedger::job_started(const ImportJobId& job, const RemoteJob& remote,
                                       WallTime next_poll) {
  return write(Wakes::steps, [&](Write& write) -> Result<void> {
    TRY_ASSIGN(ImportJob row, load_import_job(write.db, job));
    row.remote = remote;
    row.started_at = write.now;
    row.next_poll_at = next_poll;
    TRY(apply(write, row, ImportJobEvent::started));
    TRY_ASSIGN(BatchRow batch, load_batch(write.db, row.intent.batch));
    batch.batch.next_attempt_at = next_poll;
    return apply(write, batch, BatchEvent::job_started);
  });
}

Result<void> SqliteLedger::postpone_batch(const BatchId& batch, const Error& error, WallTime next) {
  return write(Wakes::nobody, [&](Write& write) -> Result<void> {
    TRY_ASSIGN(BatchRow row, load_batch(write.db, batch));
    if (is_final(row.batch.state) || asks_for_person(row.batch.state)) {
      return no_transition("batch", to_string(row.batch.state), "postponing");
    }
    ++row.batch.attempts;
    row.batch.reason_code = error.code;
    row.batch.reason = error.message;
    row.batch.next_attempt_at = next;
    return save(write, row);
  });
}

Result<std::int64_t> SqliteLedger::jobs_in_flight(std::string_view destination) {
  return read([&](sql::Database& db) -> Result<std::int64_t> {
    TRY_ASSIGN(const auto count, db.query_integer(statement::jobs_in_flight, {destination}));
    return count.value_or(0);
  });
}

// --- watcher
// ---------------------------------------------------------------------------------------

Result<std::vector<ImportJob>> SqliteLedger::due_jobs(std::string_view destination, WallTime now,
                                                      std::size_t limit) {
  return read([&](sql::Database& db) {
    return collect(db.query(statement::due_jobs, {destination, now, limit}), import_job_of);
  });
}

Result<std::optional<WallTime>> SqliteLedger::next_poll_at(std::string_view destination) {
  return read(
      [&](sql::Database& db) { return db.query_time(statement::next_poll_at, {destination}); });
}

Result<void> SqliteLedger::postpone_poll(const ImportJobId& job, WallTime next) {
  return write(Wakes::nobody, [&](Write& write) -> Result<void> {
    TRY_ASSIGN(ImportJob row, load_import_job(write.db, job));
    if (row.state != ImportJobState::running) {
      return no_transition("import job", to_string(row.state), "postponing");
    }
    ++row.polls;
    row.next_poll_at = next;
    return save(write, row);
  });
}

Result<void> SqliteLedger::job_ended(const ImportJobId& job, ImportJobEvent event,
                                     const std::string& message, const std::string& output_prefix,
                                     WallTime next) {
  return write(Wakes::steps, [&](Write& write) -> Result<void> {
    TRY_ASSIGN(ImportJob row, load_import_job(write.db, job));
    if (event == ImportJobEvent::started) {
      return no_transition("import job", to_string(row.state), "starting by its end");
    }
    row.message = message;
    if (row.remote && !output_prefix.empty()) row.remote->output_prefix = output_prefix;
    const Error why = permanent_error(std::string(to_string(event)), message);
    TRY(apply(write, row, event, event == ImportJobEvent::ended_well ? nullptr : &why));
    return return_batch(write, row, event, next);
  });
}

// --- reconciler
// ------------------------------------------------------------------------------------

Result<ImportJob> SqliteLedger::settling_job(const BatchId& batch) {
  return read([&](sql::Database& db) -> Result<ImportJob> {
    TRY_ASSIGN(const auto jobs, collect(db.query(statement::settling_job, {batch}), import_job_of));
    if (jobs.empty()) return not_found("import job that succeeded");
    return jobs.front();
  });
}

Result<std::vector<Expected>> SqliteLedger::expected(const BatchId& batch,
                                                     std::string_view object_prefix) {
  return read([&](sql::Database& db) {
    return collect(db.query(statement::expected, {batch}), [&](sql::Columns columns) {
      Expected expected;
      expected.delivery = id_from<DeliveryId>(columns.text());
      const auto instance = id_from<InstanceId>(columns.text());
      expected.key = layout::staged_object(object_prefix, batch, instance);
      expected.sop_instance_uid = Uid::parse(columns.text()).value_or(Uid());
      expected.attempts = columns.integer();
      return expected;
    });
  });
}

Result<void> SqliteLedger::record_outcomes(const BatchId& batch,
                                           const std::vector<OutcomeRecord>& outcomes) {
  return write(Wakes::steps, [&](Write& write) -> Result<void> {
    TRY_ASSIGN(BatchRow row, load_batch(write.db, batch));
    const auto event = BatchEvent::outcomes_recorded;
    if (!next(row.batch.state, event)) {
      return no_transition("batch", to_string(row.batch.state), to_string(event));
    }
    TRY(check_complete(write.db, batch, outcomes));
    TRY(write.db.run(statement::look_at_batch_now, {write.now, batch}));
    for (const OutcomeRecord& record : outcomes) {
      TRY(record_outcome(write, batch, record.outcome));
      TRY(conclude(write, row, record));
    }
    // I4 before it is promised: what was written adds up to what was staged.
    TRY_ASSIGN(const auto recorded, write.db.query_integer(statement::count_outcomes, {batch}));
    if (recorded != row.batch.members) {
      return permanent_error("ledger.outcomes_incomplete",
                             "The outcomes do not add up to the batch's members.");
    }
    return apply(write, row, event);
  });
}

}  // namespace isthmus
