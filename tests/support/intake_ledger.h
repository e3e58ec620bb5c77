// The intake half of a ledger, in memory, for what stands on Ledger::record alone (the spool, the
// receivers): a row is durable when record() returns, and survives every power cut, as the real
// one's does. The other half answers "ledger.beyond_intake". Any thread; unlike the real one it
// groups nothing: each record() makes its bytes durable by itself.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "ledger/ledger.h"

namespace isthmus::test {

class IntakeLedger : public Ledger {
 public:
  Result<Receipt> record(const Arrival& arrival, Durable* bytes) override;
  Result<bool> has_instance(const InstanceId& id) override;
  Result<std::optional<Instance>> instance(const InstanceId& id) override;

  // --- faults ---------------------------------------------------------------------------------
  // The next record() fails after the bytes are durable; `row_stays` is a commit that reached the
  // disk although it was reported as failed.
  void fail_next_record(Error error, bool row_stays = false);
  // Called in record(): before the bytes are made durable; when they are and the row is not yet;
  // when the row is and nobody knows.
  std::function<void()> before_bytes, before_row, after_row;

  // --- what it knows --------------------------------------------------------------------------
  std::vector<Arrival> arrivals() const;
  // The Durable of each record() so far, in order, known ones included.
  std::vector<Durable*> durables() const;
  void forget(const InstanceId& id);

  Result<std::vector<WaitingDelivery>> waiting_deliveries(std::string_view, WallTime,
                                                          std::size_t) override {
    return beyond_intake();
  }
  Result<std::optional<WallTime>> next_waiting_at(std::string_view) override {
    return beyond_intake();
  }
  Result<std::vector<Batch>> batches(std::string_view, BatchState, std::size_t) override {
    return beyond_intake();
  }
  Result<std::optional<Batch>> batch(const BatchId&) override { return beyond_intake(); }
  Result<BatchId> join(std::string_view, const std::optional<BatchId>&,
                       const std::vector<DeliveryId>&) override {
    return beyond_intake();
  }
  Result<void> advance(const BatchId&, BatchEvent, const Error*) override {
    return beyond_intake();
  }
  Result<std::vector<StagingItem>> staging_items(std::string_view, WallTime, std::size_t) override {
    return beyond_intake();
  }
  Result<std::optional<WallTime>> next_staging_at(std::string_view) override {
    return beyond_intake();
  }
  Result<void> mark_staged(const DeliveryId&, const std::string&) override {
    return beyond_intake();
  }
  Result<void> postpone(const DeliveryId&, const Error&, WallTime) override {
    return beyond_intake();
  }
  Result<void> quarantine(const DeliveryId&, DeliveryEvent, const Error&) override {
    return beyond_intake();
  }
  Result<std::vector<BatchId>> conclude_staging(std::string_view) override {
    return beyond_intake();
  }
  Result<std::vector<Batch>> due_batches(std::string_view, BatchState, WallTime,
                                         std::size_t) override {
    return beyond_intake();
  }
  Result<std::optional<WallTime>> next_batch_at(std::string_view, BatchState) override {
    return beyond_intake();
  }
  Result<ImportIntent> intend(const BatchId&, std::string_view) override { return beyond_intake(); }
  Result<bool> intent_is_inherited(const ImportJobId&) override { return beyond_intake(); }
  Result<void> job_started(const ImportJobId&, const RemoteJob&, WallTime) override {
    return beyond_intake();
  }
  Result<void> postpone_batch(const BatchId&, const Error&, WallTime) override {
    return beyond_intake();
  }
  Result<std::int64_t> jobs_in_flight(std::string_view) override { return beyond_intake(); }
  Result<std::vector<ImportJob>> due_jobs(std::string_view, WallTime, std::size_t) override {
    return beyond_intake();
  }
  Result<std::optional<WallTime>> next_poll_at(std::string_view) override {
    return beyond_intake();
  }
  Result<void> postpone_poll(const ImportJobId&, WallTime) override { return beyond_intake(); }
  Result<void> job_ended(const ImportJobId&, ImportJobEvent, const std::string&, const std::string&,
                         WallTime) override {
    return beyond_intake();
  }
  Result<ImportJob> settling_job(const BatchId&) override { return beyond_intake(); }
  Result<std::vector<Expected>> expected(const BatchId&, std::string_view) override {
    return beyond_intake();
  }
  Result<void> record_outcomes(const BatchId&, const std::vector<OutcomeRecord>&) override {
    return beyond_intake();
  }
  Result<std::vector<Batch>> batches_with_objects(std::string_view, WallTime,
                                                  std::size_t) override {
    return beyond_intake();
  }
  Result<void> note_objects_removed(const BatchId&) override { return beyond_intake(); }
  Result<std::vector<Sweepable>> sweepable(WallTime, std::size_t) override {
    return beyond_intake();
  }
  Result<void> claim_freeing(const InstanceId&) override { return beyond_intake(); }
  Result<void> note_freed(const InstanceId&) override { return beyond_intake(); }
  Result<std::vector<Sweepable>> being_freed() override { return beyond_intake(); }
  Result<std::vector<StateCount>> counts() override { return beyond_intake(); }
  Result<std::vector<Ask>> asks(std::size_t) override { return beyond_intake(); }
  Result<std::vector<HistoryEntry>> history(std::string_view, std::size_t) override {
    return beyond_intake();
  }
  Result<std::vector<StudySummary>> studies(std::size_t) override { return beyond_intake(); }
  Result<std::vector<InstanceView>> instances(std::string_view, std::size_t) override {
    return beyond_intake();
  }
  Result<std::int64_t> order_retry(std::string_view) override { return beyond_intake(); }
  Result<std::vector<std::string>> check() override { return beyond_intake(); }

  void on_change(std::function<void()>) override {}
  void stop() override {}

 private:
  static Error beyond_intake() {
    return permanent_error("ledger.beyond_intake", "This ledger only knows arrivals.");
  }

  mutable std::mutex mutex_;
  std::map<InstanceId, Arrival> rows_;
  std::map<std::pair<Uid, Digest>, InstanceId> known_;
  std::vector<Durable*> durables_;
  std::optional<std::pair<Error, bool>> next_failure_;
};

}  // namespace isthmus::test
