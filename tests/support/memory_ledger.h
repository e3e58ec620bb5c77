// A Ledger in memory, complete: it honours ledger.h by model/transitions.h like the real one, so
// that steps can be tested without a database, and the contract suite has a second opinion. Any
// thread.
//
// What a power cut would take it never has: every call is "durable" when it returns. Process death
// is reopen(): what only a living process knows is forgotten.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "ledger/ledger.h"
#include "ledger/receiver_rows.h"
#include "ledger/spool_rows.h"
#include "support/memory_access_rows.h"
#include "support/memory_commitments.h"
#include "support/memory_sender_rows.h"

namespace isthmus::test {

class MemoryLedger : public Ledger, private SpoolRows, private ReceiverRows {
 public:
  // Asked before each call with its name ("mark_staged"), without a lock held; an error is given to
  // the caller, and nothing happens.
  using Hook = std::function<std::optional<Error>(std::string_view call)>;

  MemoryLedger(Env& env, std::vector<std::string> destinations,
               std::vector<std::string> quarantine_conflicts_at = {})
      : env_(env),
        destinations_(std::move(destinations)),
        quarantine_conflicts_at_(std::move(quarantine_conflicts_at)) {}

  // As if the process had died and a new one had opened the ledger.
  void reopen();
  void set_hook(Hook hook);
  // Next `times` calls of this name fail.
  void refuse(std::string call, Error error, int times = 1);
  // How many intents were ever made.
  std::size_t intents() const;
  std::vector<ImportJob> jobs() const;
  std::optional<Delivery> delivery(const DeliveryId& id) const;

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
  SpoolRows& spool_rows() override { return *this; }
  Result<SpoolRef> claim_freeing(const InstanceId& instance) override;
  Result<void> note_freed(const InstanceId& instance) override;
  Result<std::vector<Sweepable>> being_freed() override;

  Commitments& commitments() override { return commitments_; }
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
  MemoryAccessRows& access_rows() override { return access_rows_; }
  ReceiverRows& receiver_rows() override { return *this; }

  void on_change(std::function<void()> notify) override;
  void stop() override;

 protected:
  // Whatever its deliveries' states.
  void note_freed_unasked(const InstanceId& instance);
  // A row was made by follow(), or names other bytes than before.
  virtual void followed(const Arrival& /*arrival*/) {}
  virtual void moved(const InstanceId& /*instance*/, const SpoolRef& /*to*/) {}
  // memory_spool_rows.cc
  Result<bool> names(const SpoolRef& ref) override;

 private:
  Result<SpoolPosition> position() override;
  Result<std::vector<Receipt>> follow(std::span<const Arrival> arrivals,
                                      const SpoolPosition& reached) override;
  Result<bool> move(const InstanceId& instance, const SpoolRef& from, const SpoolRef& to) override;
  Result<std::vector<HeldInstance>> held(std::string_view after, std::string_view before,
                                         std::size_t limit) override;

  // memory_receiver_rows.cc
  Result<std::optional<std::string>> mark(std::string_view name) override;
  Result<void> keep_mark(std::string_view name, std::string_view value) override;
  Result<void> note_untaken(const UntakenInstance& untaken) override;
  Result<void> forget_untaken(std::string_view archive_id) override;
  Result<std::vector<UntakenInstance>> untaken(std::size_t limit) override;
  Result<NewsPage> news(std::string_view receiver, std::int64_t after, std::size_t limit) override;

  struct InstanceRow {
    Instance instance;
    std::string patient_id;
    bool freeing = false;
  };
  struct DeliveryRow {
    Delivery delivery;
    std::int64_t unaccounted = 0;  // imports that did not account for it
    bool ever_staged = false;
    std::string import_job;  // the service's id of the last job that named it
  };
  struct BatchRow {
    Batch batch;
    WallTime changed_at;
    bool objects_removed = false;
    std::map<OutcomeKind, std::int64_t> outcomes;  // once reconciled
  };
  struct JobRow {
    ImportJob job;
    WallTime changed_at;
    bool inherited = false;
  };
  using Lock = std::unique_lock<std::mutex>;

  // An error when the hook, a refusal or stop() says so; then the call must not happen.
  std::optional<Error> admit(std::string_view call);
  // Ends a write: lets go of the lock and tells who waits for changes.
  void changed(Lock lock);

  // All below: lock held.
  WallTime now() const { return env_.clock.wall_now(); }
  DeliveryRow* find(const DeliveryId& id);
  BatchRow* find(const BatchId& id);
  JobRow* find(const ImportJobId& id);
  InstanceRow* find(const InstanceId& id);
  Receipt make_row(const Arrival& arrival);
  Receipt receive_again(InstanceRow& row, const Arrival& arrival);
  void add_delivery(const InstanceRow& row, const std::string& destination);
  std::vector<DeliveryRow*> members(const BatchId& batch);
  std::set<std::string> uids_of(const std::vector<DeliveryRow*>& rows);
  bool move(DeliveryRow& row, DeliveryEvent event, std::string why);
  bool move(BatchRow& row, BatchEvent event, std::string why);
  bool move(JobRow& row, ImportJobEvent event, std::string why);
  void write_history(std::string subject, const std::string& id, std::string_view event,
                     std::string_view from, std::string_view to, std::string why);
  void leave_batch(DeliveryRow& row);
  void back_to_waiting(DeliveryRow& row);
  void abandon(BatchRow& row, const std::string& why);
  std::optional<WallTime> all_imported_since(const InstanceId& instance) const;
  bool speaks_of(const DeliveryRow& row, std::string_view uid_or_id) const;
  void settle(DeliveryRow& row, const OutcomeRecord& record, const std::string& remote_job);

  Env& env_;
  const std::vector<std::string> destinations_;
  const std::vector<std::string> quarantine_conflicts_at_;
  mutable std::mutex mutex_;
  // In the order in which they were made.
  std::vector<InstanceRow> instances_;
  std::vector<DeliveryRow> deliveries_;
  std::vector<const BatchRow*> stat_first() const;  // with the lock held
  std::vector<BatchRow> batches_;
  std::vector<JobRow> jobs_;
  std::vector<HistoryEntry> history_;
  SpoolPosition position_;
  std::vector<std::pair<std::string, Error>> refusals_;
  Hook hook_;
  std::function<void()> notify_;
  bool stopped_ = false;
  MemoryCommitments commitments_{env_, *this};
  MemorySenderRows sender_rows_;
  MemoryAccessRows access_rows_;
  std::map<std::string, std::string, std::less<>> marks_;
  std::map<std::string, UntakenInstance, std::less<>> untaken_;
};

}  // namespace isthmus::test
