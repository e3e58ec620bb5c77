// What people ask of the ledger: counts, stories, lists, and orders to try again.
#include <algorithm>
#include <set>

#include "ledger/sqlite/sqlite_ledger.h"
#include "ledger/sqlite/statements.h"
#include "ledger/sqlite/summaries.h"

namespace isthmus {
namespace {

constexpr std::size_t kRetriesPerTransaction = 500;

Ask ask_of(sql::Columns columns) {
  Ask ask;
  ask.subject = columns.text();
  ask.subject_id = columns.text();
  ask.destination = columns.text();
  ask.state = columns.text();
  ask.reason_code = columns.text();
  ask.reason = columns.text();
  ask.since = columns.time();
  return ask;
}

StateCount state_count_of(sql::Columns columns) {
  StateCount count;
  count.subject = columns.text();
  count.destination = columns.text();
  count.state = columns.text();
  count.count = columns.integer();
  return count;
}

std::string text_of(sql::Columns columns) {
  return columns.text();
}

// The statement that knows since when the oldest row is in this state; none for states that rows
// stay in for good, where the answer would only be how old the site is.
std::optional<std::string_view> oldest_statement(StateCount& count) {
  if (count.subject == "delivery") {
    const auto state = delivery_state_from(count.state);
    if (!state || is_final(*state)) return std::nullopt;
    count.asks_for_person = asks_for_person(*state);
    return statement::oldest_delivery;
  }
  if (count.subject == "batch") {
    const auto state = batch_state_from(count.state);
    if (!state || is_final(*state)) return std::nullopt;
    count.asks_for_person = asks_for_person(*state);
    return statement::oldest_batch;
  }
  if (count.subject == "commitment") {
    const auto state = commitment_state_from(count.state);
    if (!state || is_final(*state)) return std::nullopt;
    count.asks_for_person = asks_for_person(*state);
    return statement::oldest_commitment;
  }
  if (count.subject == "metadata_update") {
    const auto state = metadata_update_state_from(count.state);
    if (!state || is_final(*state)) return std::nullopt;
    count.asks_for_person = asks_for_person(*state);
    return statement::oldest_metadata_update;
  }
  const auto state = import_job_state_from(count.state);
  if (state != ImportJobState::intended && state != ImportJobState::running) return std::nullopt;
  return statement::oldest_import_job;
}

// The studies of the instances that came last.
Result<std::vector<std::string>> newest_studies(sql::Database& db, std::size_t limit) {
  std::vector<std::string> studies;
  std::set<std::string> seen;
  TRY_ASSIGN(sql::Statement rows, db.query(statement::newest_first));
  while (studies.size() < limit) {
    TRY_ASSIGN(const bool more, rows.next());
    if (!more) break;
    const std::string study = rows.text(0);
    if (seen.insert(study).second) studies.push_back(study);
  }
  return studies;
}

// False when somebody else moved it since it was found. When all its instance's deliveries are done
// by it, the bytes stay for the retention and are freed then.
Result<bool> discard_delivery(Write& write, const DeliveryId& id, const Error& why) {
  TRY_ASSIGN(DeliveryRow row, load_delivery(write.db, id));
  if (!next(row.state, DeliveryEvent::discard_ordered)) return false;
  row.set_reason(why);
  TRY(apply(write, row, DeliveryEvent::discard_ordered, &why));
  TRY(write.db.run(statement::note_all_imported, {write.now, row.instance}));
  return true;
}

}  // namespace

Result<std::vector<StudySummary>> summaries_of(sql::Database& db, const std::string& study) {
  TRY_ASSIGN(auto summaries,
             collect(db.query(statement::study_counts, {study}), [&](sql::Columns columns) {
               StudySummary summary;
               summary.study_instance_uid = Uid::parse(study).value_or(Uid());
               summary.destination = columns.text();
               summary.received = columns.integer();
               summary.staged = columns.integer();
               summary.imported = columns.integer();
               summary.rejected = columns.integer();
               summary.quarantined = columns.integer();
               summary.discarded = columns.integer();
               summary.unaccounted = columns.integer();
               return summary;
             }));
  for (StudySummary& summary : summaries) {
    TRY_ASSIGN(summary.import_job_ids,
               collect(db.query(statement::study_jobs, {study, summary.destination}), text_of));
    TRY_ASSIGN(
        summary.image_set_ids,
        collect(db.query(statement::study_image_sets, {study, summary.destination}), text_of));
  }
  return summaries;
}

Result<std::vector<StateCount>> SqliteLedger::counts() {
  return read([&](sql::Database& db) -> Result<std::vector<StateCount>> {
    TRY_ASSIGN(auto counts, collect(db.query(statement::state_counts), state_count_of));
    for (StateCount& count : counts) {
      const auto oldest = oldest_statement(count);
      if (!oldest) continue;
      TRY_ASSIGN(count.oldest_since, db.query_time(*oldest, {count.destination, count.state}));
    }
    return counts;
  });
}

Result<std::vector<Ask>> SqliteLedger::asks(std::size_t limit) {
  return read(
      [&](sql::Database& db) { return collect(db.query(statement::asks, {limit}), ask_of); });
}

Result<std::vector<HistoryEntry>> SqliteLedger::history(std::string_view uid_or_id,
                                                        std::size_t limit) {
  return read([&](sql::Database& db) {
    return collect(db.query(statement::story, {uid_or_id, limit}), history_entry_of);
  });
}

Result<std::vector<StudySummary>> SqliteLedger::studies(std::size_t limit) {
  return read([&](sql::Database& db) -> Result<std::vector<StudySummary>> {
    TRY_ASSIGN(const std::vector<std::string> studies, newest_studies(db, limit));
    std::vector<StudySummary> all;
    for (const std::string& study : studies) {
      TRY_ASSIGN(auto summaries, summaries_of(db, study));
      std::move(summaries.begin(), summaries.end(), std::back_inserter(all));
    }
    return all;
  });
}

Result<std::vector<InstanceView>> SqliteLedger::instances(std::string_view uid_or_id,
                                                          std::size_t limit) {
  return read([&](sql::Database& db) -> Result<std::vector<InstanceView>> {
    TRY_ASSIGN(const auto ids,
               collect(db.query(statement::found_instances, {uid_or_id, limit}), text_of));
    std::vector<InstanceView> views;
    for (const std::string& id : ids) {
      TRY_ASSIGN(auto rows, collect(db.query(statement::load_instance, {id}), instance_of));
      if (rows.empty()) continue;
      TRY_ASSIGN(auto deliveries, collect(db.query(statement::deliveries_of, {id}), delivery_of));
      views.push_back({std::move(rows.front()), std::move(deliveries)});
    }
    return views;
  });
}

// In portions: moving a million rows must not keep intake waiting for a minute. Each row is moved
// whole, so an order that is cut short can be given again.
Result<std::int64_t> SqliteLedger::order_retry(std::string_view uid_or_id_or_all) {
  const bool all = uid_or_id_or_all == "all";
  TRY_ASSIGN(const auto newest,
             read([](sql::Database& db) { return db.query_time(statement::newest_ask); }));
  // A clock that was set back leaves rows dated later than now: they are meant, too.
  const WallTime now = env_.clock.wall_now();
  const WallTime ordered_at = std::max(now, newest.value_or(now));
  const auto find = [&](std::string_view by_name, std::string_view of_all) {
    return read([&](sql::Database& db) {
      return collect(all ? db.query(of_all, {ordered_at, kRetriesPerTransaction})
                         : db.query(by_name, {uid_or_id_or_all}),
                     text_of);
    });
  };
  if (!all) {
    TRY_ASSIGN(const auto known, read([&](sql::Database& db) {
                 return db.query_integer(statement::known_name, {uid_or_id_or_all});
               }));
    if (known.value_or(0) == 0) return not_found("UID or id");
  }
  std::int64_t moved = 0;
  for (;;) {
    TRY_ASSIGN(const auto batches,
               find(statement::retryable_batches, statement::all_retryable_batches));
    TRY_ASSIGN(const std::int64_t abandoned, retry_batches(batches));
    TRY_ASSIGN(const auto deliveries,
               find(statement::retryable_deliveries, statement::all_retryable_deliveries));
    TRY_ASSIGN(const std::int64_t released, retry_deliveries(deliveries));
    moved += abandoned + released;
    // What was moved now is younger than the order; nothing is moved twice for one order.
    if (!all || abandoned + released == 0) return moved;
  }
}

Result<std::int64_t> SqliteLedger::order_discard(std::string_view uid_or_id,
                                                 const std::string& reason) {
  const bool is_text = std::ranges::none_of(
      reason, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
  if (reason.empty() || reason.size() > kMostReason || !is_text) {
    return permanent_error("ledger.bad_reason", "A reason is one line of 1 to 500 bytes.");
  }
  TRY_ASSIGN(const auto known, read([&](sql::Database& db) {
               return db.query_integer(statement::known_name, {uid_or_id});
             }));
  if (known.value_or(0) == 0) return not_found("UID or id");
  TRY_ASSIGN(const auto ids, read([&](sql::Database& db) {
               return collect(db.query(statement::retryable_deliveries, {uid_or_id}), text_of);
             }));
  const Error why = permanent_error("discarded", reason);
  return in_portions(
      ids, [&](Write& write, const DeliveryId& id) { return discard_delivery(write, id, why); });
}

Result<std::int64_t> SqliteLedger::retry_batches(const std::vector<std::string>& ids) {
  std::int64_t moved = 0;
  for (const std::string& id : ids) {
    const Result<void> abandoned =
        advance(id_from<BatchId>(id), BatchEvent::retry_ordered, nullptr);
    if (abandoned.ok()) {
      ++moved;
    } else if (abandoned.error().code != "ledger.no_transition") {
      return abandoned.error();
    }
  }
  return moved;
}

Result<std::int64_t> SqliteLedger::retry_deliveries(const std::vector<std::string>& ids) {
  return in_portions(ids, retry_delivery);
}

Result<std::int64_t> SqliteLedger::in_portions(
    const std::vector<std::string>& ids,
    const std::function<Result<bool>(Write&, const DeliveryId&)>& move_one) {
  std::int64_t moved = 0;
  for (std::size_t at = 0; at < ids.size(); at += kRetriesPerTransaction) {
    const std::size_t end = std::min(ids.size(), at + kRetriesPerTransaction);
    TRY_ASSIGN(const std::int64_t portion,
               write(Wakes::steps, [&](Write& write) -> Result<std::int64_t> {
                 std::int64_t count = 0;
                 for (std::size_t i = at; i < end; ++i) {
                   TRY_ASSIGN(const bool one, move_one(write, id_from<DeliveryId>(ids[i])));
                   if (one) ++count;
                 }
                 return count;
               }));
    moved += portion;
  }
  return moved;
}

}  // namespace isthmus
