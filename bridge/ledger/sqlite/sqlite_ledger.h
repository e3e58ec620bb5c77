// The ledger on SQLite. One class; its calls are grouped by who makes them: intake.cc, batching.cc,
// importing.cc, sweeping.cc, people.cc, checking.cc; commitments.cc is a port of its own.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "ledger/ledger.h"
#include "ledger/spool_rows.h"
#include "ledger/sqlite/access_rows.h"
#include "ledger/sqlite/commitments.h"
#include "ledger/sqlite/committer.h"
#include "ledger/sqlite/readers.h"
#include "ledger/sqlite/receiver_rows.h"
#include "ledger/sqlite/sender_rows.h"
#include "ledger/sqlite/updates.h"
#include "sql/lock_file.h"

namespace isthmus {

class SqliteLedger;
struct Clash;

// spool_rows.cc.
class SqliteSpoolRows final : public SpoolRows {
 public:
  explicit SqliteSpoolRows(SqliteLedger& ledger) : ledger_(ledger) {}
  Result<SpoolPosition> position() override;
  Result<std::vector<Receipt>> follow(std::span<const Arrival> arrivals,
                                      const SpoolPosition& reached) override;
  Result<bool> move(const InstanceId& instance, const SpoolRef& from, const SpoolRef& to) override;
  Result<bool> names(const SpoolRef& ref) override;
  Result<std::vector<HeldInstance>> held(std::string_view after, std::string_view before,
                                         std::size_t limit) override;

 private:
  SqliteLedger& ledger_;
};

class SqliteLedger final : public Ledger {
 public:
  // See open_sqlite_ledger. `migrations` is a parameter for the tests of upgrades.
  static Result<std::unique_ptr<SqliteLedger>> open(Env& env, LedgerOptions options,
                                                    std::span<const sql::Migration> migrations);
  ~SqliteLedger() override;

  Result<Receipt> record(const Arrival& arrival, Durable* bytes) override;
  Result<bool> has_instance(const InstanceId& id) override;
  Result<std::optional<Instance>> instance(const InstanceId& id) override;
  Result<std::vector<WaitingDelivery>> waiting_deliveries(std::string_view destination,
                                                          WallTime now, std::size_t limit) override;
  Result<std::optional<WallTime>> next_waiting_at(std::string_view destination) override;
  Result<std::vector<Batch>> batches(std::string_view destination, BatchState state,
                                     std::size_t limit) override;
  Result<std::optional<Batch>> batch(const BatchId& id) override;
  using Ledger::join;
  Result<BatchId> join(std::string_view destination, const std::optional<BatchId>& batch,
                       const std::vector<DeliveryId>& deliveries, Lane lane) override;
  Result<void> advance(const BatchId& batch, BatchEvent event, const Error* why) override;
  Result<std::vector<StagingItem>> staging_items(std::string_view destination, WallTime now,
                                                 std::size_t limit) override;
  Result<std::optional<WallTime>> next_staging_at(std::string_view destination) override;
  Result<void> mark_staged(const DeliveryId& delivery, const std::string& etag) override;
  Result<void> postpone(const DeliveryId& delivery, const Error& error, WallTime next) override;
  Result<void> quarantine(const DeliveryId& delivery, DeliveryEvent event,
                          const Error& reason) override;
  Result<std::vector<BatchId>> conclude_staging(std::string_view destination) override;
  Result<std::vector<Batch>> due_batches(std::string_view destination, BatchState state,
                                         WallTime now, std::size_t limit) override;
  Result<std::optional<WallTime>> next_batch_at(std::string_view destination,
                                                BatchState state) override;
  Result<ImportIntent> intend(const BatchId& batch, std::string_view object_prefix) override;
  Result<bool> intent_is_inherited(const ImportJobId& job) override;
  Result<void> job_started(const ImportJobId& job, const RemoteJob& remote,
                           WallTime next_poll) override;
  Result<void> postpone_batch(const BatchId& batch, const Error& error, WallTime next) override;
  Result<std::int64_t> jobs_in_flight(std::string_view destination) override;
  Result<std::vector<ImportJob>> due_jobs(std::string_view destination, WallTime now,
                                          std::size_t limit) override;
  Result<std::optional<WallTime>> next_poll_at(std::string_view destination) override;
  Result<void> postpone_poll(const ImportJobId& job, WallTime next) override;
  Result<void> job_ended(const ImportJobId& job, ImportJobEvent event, const std::string& message,
                         const std::string& output_prefix, WallTime next) override;
  Result<ImportJob> settling_job(const BatchId& batch) override;
  Result<std::vector<Expected>> expected(const BatchId& batch,
                                         std::string_view object_prefix) override;
  Result<void> record_outcomes(const BatchId& batch,
                               const std::vector<OutcomeRecord>& outcomes) override;
  Result<std::vector<Batch>> batches_with_objects(std::string_view destination,
                                                  WallTime ended_before,
                                                  std::size_t limit) override;
  Result<void> note_objects_removed(const BatchId& batch) override;
  Result<std::vector<Sweepable>> sweepable(WallTime imported_before, std::size_t limit) override;
  SpoolRows& spool_rows() override { return spool_rows_; }
  Result<SpoolRef> claim_freeing(const InstanceId& instance) override;
  Result<void> note_freed(const InstanceId& instance) override;
  Result<std::vector<Sweepable>> being_freed() override;
  Commitments& commitments() override { return commitments_; }
  MetadataUpdates* metadata_updates() override { return &metadata_updates_; }
  Result<std::vector<StateCount>> counts() override;
  Result<std::vector<Ask>> asks(std::size_t limit) override;
  Result<std::vector<HistoryEntry>> history(std::string_view uid_or_id, std::size_t limit) override;
  Result<std::vector<StudySummary>> studies(std::size_t limit) override;
  Result<std::vector<InstanceView>> instances(std::string_view uid_or_id,
                                              std::size_t limit) override;
  Result<std::int64_t> order_retry(std::string_view uid_or_id_or_all) override;
  Result<std::int64_t> order_discard(std::string_view uid_or_id,
                                     const std::string& reason) override;
  Result<std::vector<std::string>> check() override;
  SenderRows& sender_rows() override { return sender_rows_; }
  AccessRows& access_rows() override { return access_rows_; }
  ReceiverRows& receiver_rows() override { return receiver_rows_; }
  void on_change(std::function<void()> notify) override;
  void stop() override;

 private:
  friend class SqliteCommitments;
  friend class SqliteMetadataUpdates;
  friend class SqliteSpoolRows;
  friend class SqliteSenderRows;
  friend class SqliteAccessRows;
  friend class SqliteReceiverRows;
  enum class Wakes { steps, nobody };

  SqliteLedger(Env& env, LedgerOptions options, std::filesystem::path file);
  static Result<void> open_for_writing(SqliteLedger& ledger,
                                       std::span<const sql::Migration> migrations);
  static Result<void> check_schema(SqliteLedger& ledger, std::size_t newest);

  // Hands `body` to the committer and waits: Result<T>(Write&) to Result<T>.
  template <typename Body>
  auto write(Wakes wakes, Body&& body) -> decltype(body(std::declval<Write&>()));
  // Runs `body` on a connection for reading: Result<T>(sql::Database&) to Result<T>.
  template <typename Body>
  auto read(Body&& body) -> decltype(body(std::declval<sql::Database&>()));
  Result<void> hand_over(Commit& commit);

  Result<std::int64_t> retry_batches(const std::vector<std::string>& ids);
  Result<std::int64_t> retry_deliveries(const std::vector<std::string>& ids);
  // Moves deliveries, each whole, in transactions that keep intake waiting for no more than a
  // moment. Gives how many were.
  Result<std::int64_t> in_portions(
      const std::vector<std::string>& ids,
      const std::function<Result<bool>(Write&, const DeliveryId&)>& move_one);
  Result<Receipt> record_one(Write& write, const Arrival& arrival, const KeyedHashes& hashes);
  Result<Receipt> receive_again(Write& write, const Arrival& arrival, const InstanceId& known);
  Result<void> add_delivery(Write& write, const InstanceId& instance,
                            const std::string& destination, const Clash& clash);
  KeyedHashes hashes_of(const Identity& identity) const;
  std::string hash_of_patient_id(std::string_view patient_id) const;

  Env& env_;
  const LedgerOptions options_;
  std::string session_;  // of this process, to tell intents that it inherited
  Bytes patient_key_;
  std::optional<sql::LockFile> lock_;     // not when read_only
  std::unique_ptr<Committer> committer_;  // not when read_only
  // After the committer, so that they are closed before it: the last connection brings the log into
  // the database, and only one that may write can.
  Readers readers_;
  SqliteCommitments commitments_{*this};
  SqliteMetadataUpdates metadata_updates_{*this};
  SqliteSpoolRows spool_rows_{*this};
  std::atomic<bool> closed_{false};
  SqliteSenderRows sender_rows_{*this};
  SqliteAccessRows access_rows_{*this};
  SqliteReceiverRows receiver_rows_{*this};
};

// --- implementation
// ----------------------------------------------------------------------------------

template <typename Body>
auto SqliteLedger::write(Wakes wakes, Body&& body) -> decltype(body(std::declval<Write&>())) {
  using Answer = decltype(body(std::declval<Write&>()));
  Commit commit;
  commit.wakes_steps = wakes == Wakes::steps;
  if constexpr (std::same_as<Answer, Result<void>>) {
    commit.body = [&](Write& write) { return body(write); };
    return hand_over(commit);
  } else {
    std::optional<Answer> answer;
    commit.body = [&](Write& write) -> Result<void> {
      answer.emplace(body(write));
      if (!answer->ok()) return answer->error();
      return {};
    };
    TRY(hand_over(commit));
    return std::move(*answer);
  }
}

template <typename Body>
auto SqliteLedger::read(Body&& body) -> decltype(body(std::declval<sql::Database&>())) {
  if (closed_) return transient_error("ledger.closed", "The gateway is stopping.");
  auto result = readers_.read(body);
  if (!result.ok() && result.error().fate == Fate::fatal) {
    if (committer_) {
      committer_->fail(result.error());
    } else {
      env_.on_fatal(result.error());
    }
  }
  return result;
}

}  // namespace isthmus
