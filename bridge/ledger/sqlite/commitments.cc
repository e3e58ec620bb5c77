#include "ledger/sqlite/commitments.h"

#include "ledger/sqlite/sqlite_ledger.h"
#include "ledger/sqlite/statements.h"

namespace isthmus {
namespace {

constexpr WallTime kEver{Milliseconds{std::int64_t{1} << 52}};

Commitment commitment_of(sql::Columns columns) {
  Commitment row;
  row.id = id_from<CommitmentId>(columns.text());
  row.transaction_uid = Uid::parse(columns.text()).value_or(Uid());
  row.calling_ae_title = columns.text();
  row.called_ae_title = columns.text();
  row.peer_address = columns.text();
  row.references = columns.integer();
  row.level = commitment_level_from(columns.text());
  row.duplicate = columns.boolean();
  const auto state = commitment_state_from(columns.text());
  ASSERT(state.has_value());  // a CHECK holds it
  row.state = *state;
  row.state_since = columns.time();
  row.requested_at = columns.time();
  row.unknown_until = columns.time();
  row.answer_until = columns.time();
  row.failed = columns.integer();
  row.report_until = columns.optional_time();
  row.attempts = columns.integer();
  row.next_attempt_at = columns.optional_time();
  row.error_code = columns.text();
  row.error = columns.text();
  return row;
}

Result<Commitment> load_commitment(sql::Database& db, const CommitmentId& id) {
  TRY_ASSIGN(auto rows, collect(db.query(statement::load_commitment, {id}), commitment_of));
  if (rows.empty()) return not_found("commitment");
  return std::move(rows.front());
}

std::string level_text(const std::optional<CommitmentLevel>& level) {
  return level ? std::string(to_string(*level)) : std::string();
}

Result<void> store(Write& write, const Commitment& row, CommitmentState from) {
  const std::optional<WallTime> since =
      row.state == from ? std::nullopt : std::optional(row.state_since);
  TRY_ASSIGN(
      const std::int64_t changed,
      write.db.run(statement::store_commitment,
                   {to_string(row.state), since, row.called_ae_title, row.peer_address,
                    level_text(row.level), row.duplicate, row.requested_at, row.unknown_until,
                    row.answer_until, row.failed, row.report_until, row.attempts,
                    row.next_attempt_at, row.error_code, row.error, row.id, to_string(from)}));
  if (changed == 1) return {};
  return no_transition("commitment", to_string(from), "a change");
}

Result<void> note_commitment(Write& write, const CommitmentId& id, std::string_view event,
                             std::string_view from, std::string_view to, const Error* why) {
  std::string text;
  if (why != nullptr) text = why->message.empty() ? why->code : why->code + ": " + why->message;
  TRY(write.db.run(statement::insert_commitment_history, {write.now, id, event, from, to, text}));
  return {};
}

// Moves the row along by `event`, with a line of history. A state that goes on by itself is due at
// once.
Result<void> apply(Write& write, Commitment& row, CommitmentEvent event, const Error* why) {
  const CommitmentState from = row.state;
  const auto to = next(from, event);
  if (!to) return no_transition("commitment", to_string(from), to_string(event));
  row.state = *to;
  row.state_since = write.now;
  row.next_attempt_at.reset();
  if (!is_final(*to) && !asks_for_person(*to)) row.next_attempt_at = write.now;
  if (why != nullptr) {
    row.error_code = why->code;
    row.error = why->message;
  }
  TRY(store(write, row, from));
  return note_commitment(write, row.id, to_string(event), to_string(from), to_string(*to), why);
}

Result<void> insert_references(Write& write, const CommitmentId& id,
                               const SopReferences& references) {
  for (std::size_t i = 0; i < references.size(); ++i) {
    const SopReferences::Reference one = references[i];
    TRY(write.db.run(statement::insert_reference, {id, one.sop_instance_uid, one.sop_class_uid}));
  }
  return {};
}

Result<CommitmentId> insert(Write& write, const CommitmentRequest& request, const Digest& digest,
                            bool duplicate) {
  const auto id = CommitmentId::make(write.env);
  TRY(write.db.run(
      statement::insert_commitment,
      {id, request.transaction_uid, request.calling_ae_title, request.called_ae_title,
       request.peer_address, digest, request.references.size(), level_text(request.level),
       duplicate, write.now, write.now, request.unknown_until, request.answer_until, write.now}));
  TRY(insert_references(write, id, request.references));
  TRY(note_commitment(write, id, "requested", "", to_string(CommitmentState::pending), nullptr));
  return id;
}

// Back to pending, to be evaluated and reported anew.
Result<void> begin_again(Write& write, Commitment& row, CommitmentEvent event) {
  row.failed = 0;
  row.attempts = 0;
  row.error_code.clear();
  row.error.clear();
  row.report_until.reset();
  TRY(write.db.run(statement::clear_failures, {row.id}));
  return apply(write, row, event, nullptr);
}

Result<void> ask_again(Write& write, Commitment& row, const CommitmentRequest& request,
                       bool duplicate, bool references_kept) {
  row.called_ae_title = request.called_ae_title;
  row.peer_address = request.peer_address;
  row.level = request.level;
  row.duplicate = duplicate;
  row.requested_at = write.now;
  row.unknown_until = request.unknown_until;
  row.answer_until = request.answer_until;
  if (!references_kept) {
    TRY(insert_references(write, row.id, request.references));
    TRY(write.db.run(statement::keep_references, {true, row.id}));
  }
  return begin_again(write, row, CommitmentEvent::requested_again);
}

// What the statements want to know of levels: ",a,b," or "*".
struct LevelLists {
  std::string spooled = ",";
  std::string staged = ",";

  LevelLists(const std::optional<CommitmentLevel>& of_all, const CommitmentLevels& levels) {
    if (of_all) {
      if (*of_all == CommitmentLevel::spooled) spooled = "*";
      if (*of_all == CommitmentLevel::staged) staged = "*";
      return;
    }
    for (const auto& [destination, level] : levels) {
      if (level == CommitmentLevel::spooled) spooled += destination + ",";
      if (level == CommitmentLevel::staged) staged += destination + ",";
    }
  }
};

Result<CommitmentProgress> progress_of(sql::Database& db, const CommitmentId& id,
                                       const LevelLists& lists) {
  TRY_ASSIGN(sql::Statement rows,
             db.query(statement::commitment_progress, {id, lists.spooled, lists.staged}));
  TRY_ASSIGN(const bool found, rows.next());
  ASSERT(found);  // an aggregate has one row
  sql::Columns columns = rows.columns();
  const std::int64_t all = columns.integer();
  CommitmentProgress progress;
  progress.unknown = columns.integer();
  progress.on_way = columns.integer();
  progress.failed = columns.integer();
  progress.committed = all - progress.unknown - progress.on_way - progress.failed;
  return progress;
}

bool is_to_wait(const Commitment& row, const CommitmentProgress& progress, WallTime now) {
  if (row.duplicate) return false;
  return (progress.unknown > 0 && now < row.unknown_until) ||
         (progress.on_way > 0 && now < row.answer_until);
}

}  // namespace

Result<RecordedCommitment> SqliteCommitments::request(const CommitmentRequest& request,
                                                      std::int64_t most_active) {
  const Digest digest = request.references.digest();
  return ledger_.write(SqliteLedger::Wakes::steps, [&](Write& write) -> Result<RecordedCommitment> {
    TRY_ASSIGN(const auto other,
               write.db.query_text(statement::active_of_transaction,
                                   {request.transaction_uid, request.calling_ae_title, digest}));
    const bool duplicate = other.has_value();
    TRY_ASSIGN(const auto known,
               collect(write.db.query(statement::commitment_of_list,
                                      {request.transaction_uid, request.calling_ae_title, digest}),
                       [](sql::Columns columns) {
                         auto id = id_from<CommitmentId>(columns.text());
                         return std::pair(std::move(id), columns.boolean());
                       }));
    std::optional<Commitment> row;
    if (!known.empty()) {
      TRY_ASSIGN(row, load_commitment(write.db, known.front().first));
      const bool active = !is_final(row->state) && !asks_for_person(row->state);
      if (active) return RecordedCommitment{row->id, CommitmentReceipt::repeated};
    }
    TRY_ASSIGN(const auto active, write.db.query_integer(statement::active_commitments));
    if (active.value_or(0) >= most_active) {
      return transient_error("ledger.busy", "As many commitment requests as allowed wait.");
    }
    if (row) {
      TRY(ask_again(write, *row, request, duplicate, known.front().second));
      return RecordedCommitment{
          row->id, duplicate ? CommitmentReceipt::duplicate : CommitmentReceipt::requested_again};
    }
    TRY_ASSIGN(const CommitmentId id, insert(write, request, digest, duplicate));
    return RecordedCommitment{id,
                              duplicate ? CommitmentReceipt::duplicate : CommitmentReceipt::fresh};
  });
}

// --- evaluation
// ----------------------------------------------------------------------------------

Result<std::vector<Commitment>> SqliteCommitments::due_pending(WallTime now, std::size_t limit) {
  return ledger_.read([&](sql::Database& db) {
    return collect(db.query(statement::due_pending, {now, limit}), commitment_of);
  });
}

Result<std::optional<WallTime>> SqliteCommitments::next_pending_at() {
  return ledger_.read([&](sql::Database& db) {
    return db.query_time(statement::next_commitment_at, {to_string(CommitmentState::pending)});
  });
}

Result<CommitmentProgress> SqliteCommitments::progress(const CommitmentId& id,
                                                       const CommitmentLevels& levels) {
  return ledger_.read([&](sql::Database& db) -> Result<CommitmentProgress> {
    TRY_ASSIGN(const Commitment row, load_commitment(db, id));
    return progress_of(db, id, LevelLists(row.level, levels));
  });
}

Result<Commitment> SqliteCommitments::conclude(const CommitmentId& id,
                                               const CommitmentLevels& levels,
                                               WallTime report_until) {
  // Looked at without the writer first: a request that waits for its slowest instance is looked at
  // often, and must not keep intake waiting.
  std::optional<Commitment> waiting;
  TRY(ledger_.read([&](sql::Database& db) -> Result<void> {
    TRY_ASSIGN(Commitment row, load_commitment(db, id));
    TRY_ASSIGN(const CommitmentProgress progress,
               progress_of(db, id, LevelLists(row.level, levels)));
    const bool wait = is_to_wait(row, progress, ledger_.env_.clock.wall_now());
    if (wait || row.state != CommitmentState::pending) waiting = std::move(row);
    return {};
  }));
  if (waiting) return std::move(*waiting);
  return ledger_.write(SqliteLedger::Wakes::steps, [&](Write& write) -> Result<Commitment> {
    TRY_ASSIGN(Commitment row, load_commitment(write.db, id));
    if (row.state != CommitmentState::pending) return row;
    if (row.duplicate) {
      const auto reason = static_cast<std::int64_t>(FailureReason::duplicate_transaction);
      TRY_ASSIGN(row.failed, write.db.run(statement::fail_all_references, {reason, id}));
    } else {
      const LevelLists lists(row.level, levels);
      TRY_ASSIGN(row.failed,
                 write.db.run(statement::keep_failures, {id, lists.spooled, lists.staged}));
    }
    row.report_until = report_until;
    TRY(apply(write, row, CommitmentEvent::evaluated, nullptr));
    return row;
  });
}

Result<void> SqliteCommitments::look_again(const std::vector<CommitmentDate>& dates) {
  return ledger_.write(SqliteLedger::Wakes::nobody, [&](Write& write) -> Result<void> {
    for (const CommitmentDate& one : dates) {
      TRY(write.db.run(statement::look_again, {one.next, one.id, one.seen}));
    }
    return {};
  });
}

// --- reports
// -------------------------------------------------------------------------------------

Result<std::vector<ReportPeer>> SqliteCommitments::due_peers(WallTime now, std::size_t limit) {
  return ledger_.read([&](sql::Database& db) {
    return collect(db.query(statement::due_report_peers, {now, limit}), [](sql::Columns columns) {
      ReportPeer peer;
      peer.calling_ae_title = columns.text();
      peer.called_ae_title = columns.text();
      return peer;
    });
  });
}

Result<std::optional<WallTime>> SqliteCommitments::next_report_at() {
  return ledger_.read([&](sql::Database& db) {
    return db.query_time(statement::next_commitment_at, {to_string(CommitmentState::answered)});
  });
}

Result<std::vector<Commitment>> SqliteCommitments::due_reports(const ReportPeer& peer,
                                                               std::optional<WallTime> now,
                                                               std::size_t limit) {
  return ledger_.read([&](sql::Database& db) {
    return collect(db.query(statement::due_reports, {peer.calling_ae_title, peer.called_ae_title,
                                                     now.value_or(kEver), limit}),
                   commitment_of);
  });
}

Result<void> SqliteCommitments::each_result(
    const CommitmentId& id, const std::function<void(const CommitmentResult&)>& take) {
  return ledger_.read([&](sql::Database& db) -> Result<void> {
    TRY_ASSIGN(sql::Statement rows, db.query(statement::commitment_results, {id}));
    for (;;) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) return {};
      sql::Columns columns = rows.columns();
      CommitmentResult result;
      result.sop_class_uid = columns.text();
      result.sop_instance_uid = columns.text();
      result.reason = static_cast<FailureReason>(columns.integer());
      result.detail = columns.text();
      take(result);
    }
  });
}

Result<void> SqliteCommitments::advance(const CommitmentId& id, CommitmentEvent event,
                                        const Error* why) {
  return ledger_.write(SqliteLedger::Wakes::nobody, [&](Write& write) -> Result<void> {
    TRY_ASSIGN(Commitment row, load_commitment(write.db, id));
    const bool about_a_report = event == CommitmentEvent::acknowledged ||
                                event == CommitmentEvent::report_refused ||
                                event == CommitmentEvent::deliveries_expired;
    if (!about_a_report) return no_transition("commitment", to_string(row.state), "that by itself");
    ++row.attempts;
    if (event == CommitmentEvent::acknowledged) {
      row.error_code.clear();
      row.error.clear();
    }
    return apply(write, row, event, why);
  });
}

Result<void> SqliteCommitments::postpone_reports(const std::vector<CommitmentDate>& reports,
                                                 const Error& error) {
  return ledger_.write(SqliteLedger::Wakes::nobody, [&](Write& write) -> Result<void> {
    for (const CommitmentDate& report : reports) {
      TRY_ASSIGN(Commitment row, load_commitment(write.db, report.id));
      if (row.state != CommitmentState::answered) continue;
      ++row.attempts;
      row.error_code = error.code;
      row.error = error.message;
      row.next_attempt_at = report.next;
      TRY(store(write, row, row.state));
    }
    return {};
  });
}

// --- people
// --------------------------------------------------------------------------------------

Result<std::optional<Commitment>> SqliteCommitments::commitment(const CommitmentId& id) {
  return ledger_.read([&](sql::Database& db) -> Result<std::optional<Commitment>> {
    TRY_ASSIGN(auto rows, collect(db.query(statement::load_commitment, {id}), commitment_of));
    if (rows.empty()) return std::optional<Commitment>();
    return std::optional(std::move(rows.front()));
  });
}

Result<std::vector<Commitment>> SqliteCommitments::list(std::string_view transaction_uid,
                                                        std::size_t limit) {
  return ledger_.read([&](sql::Database& db) {
    return collect(transaction_uid.empty()
                       ? db.query(statement::newest_commitments, {limit})
                       : db.query(statement::commitments_of_transaction, {transaction_uid, limit}),
                   commitment_of);
  });
}

Result<std::int64_t> SqliteCommitments::order_resend(std::string_view transaction_uid) {
  return ledger_.write(SqliteLedger::Wakes::steps, [&](Write& write) -> Result<std::int64_t> {
    TRY_ASSIGN(auto rows, collect(write.db.query(statement::commitments_of_transaction,
                                                 {transaction_uid, 1000}),
                                  commitment_of));
    if (rows.empty()) return not_found("Transaction UID");
    std::int64_t ordered = 0;
    for (Commitment& row : rows) {
      TRY_ASSIGN(const auto listed, write.db.query_integer(statement::references_kept, {row.id}));
      if (listed.value_or(0) == 0) continue;  // only its requester still knows the list
      ++ordered;
      if (is_final(row.state) || asks_for_person(row.state)) {
        TRY(begin_again(write, row, CommitmentEvent::resend_ordered));
      } else if (row.state == CommitmentState::answered) {
        row.next_attempt_at = write.now;
        TRY(store(write, row, row.state));
      }
    }
    return ordered;
  });
}

Result<std::vector<HistoryEntry>> SqliteCommitments::commitment_history(std::string_view uid_or_id,
                                                                        std::size_t limit) {
  return ledger_.read([&](sql::Database& db) {
    return collect(db.query(statement::commitment_story, {uid_or_id, limit}), history_entry_of);
  });
}

Result<std::int64_t> SqliteCommitments::forget_references(WallTime delivered_before,
                                                          std::size_t limit) {
  TRY_ASSIGN(const auto ids, ledger_.read([&](sql::Database& db) {
    return collect(db.query(statement::forgettable_commitments, {delivered_before, limit}),
                   [](sql::Columns columns) { return id_from<CommitmentId>(columns.text()); });
  }));
  std::int64_t forgotten = 0;
  for (const CommitmentId& id : ids) {  // each for itself: a list can be long
    TRY_ASSIGN(const bool one,
               ledger_.write(SqliteLedger::Wakes::nobody, [&](Write& write) -> Result<bool> {
                 TRY_ASSIGN(const Commitment row, load_commitment(write.db, id));
                 const bool told = row.state == CommitmentState::delivered;
                 if (!told || row.state_since >= delivered_before) return false;
                 TRY(write.db.run(statement::keep_references, {false, id}));
                 TRY(write.db.run(statement::forget_references, {id}));
                 return true;
               }));
    if (one) ++forgotten;
  }
  return forgotten;
}

}  // namespace isthmus
