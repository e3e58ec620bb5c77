// Commitments in memory, complete: what MemoryLedger::commitments() gives. Looks instances up in
// the ledger it belongs to. Any thread.
#pragma once

#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ledger/commitments.h"
#include "ledger/ledger.h"

namespace isthmus::test {

class MemoryCommitments : public Commitments {
 public:
  MemoryCommitments(Env& env, Ledger& ledger) : env_(env), ledger_(ledger) {}

  Result<RecordedCommitment> request(const CommitmentRequest& request,
                                     std::int64_t most_active) override;
  Result<std::vector<Commitment>> due_pending(WallTime now, std::size_t limit) override;
  Result<std::optional<WallTime>> next_pending_at() override;
  Result<CommitmentProgress> progress(const CommitmentId& id,
                                      const CommitmentLevels& levels) override;
  Result<Commitment> conclude(const CommitmentId& id, const CommitmentLevels& levels,
                              WallTime report_until) override;
  Result<void> look_again(const std::vector<CommitmentDate>& dates) override;
  Result<std::vector<ReportPeer>> due_peers(WallTime now, std::size_t limit) override;
  Result<std::optional<WallTime>> next_report_at() override;
  Result<std::vector<Commitment>> due_reports(const ReportPeer& peer, std::optional<WallTime> now,
                                              std::size_t limit) override;
  Result<void> each_result(const CommitmentId& id,
                           const std::function<void(const CommitmentResult&)>& take) override;
  Result<void> advance(const CommitmentId& id, CommitmentEvent event, const Error* why) override;
  Result<void> postpone_reports(const std::vector<CommitmentDate>& reports,
                                const Error& error) override;
  Result<std::optional<Commitment>> commitment(const CommitmentId& id) override;
  Result<std::vector<Commitment>> list(std::string_view transaction_uid,
                                       std::size_t limit) override;
  Result<std::int64_t> order_resend(std::string_view transaction_uid) override;
  Result<std::vector<HistoryEntry>> commitment_history(std::string_view uid_or_id,
                                                       std::size_t limit) override;
  Result<std::int64_t> forget_references(WallTime delivered_before, std::size_t limit) override;
  // Pending requests that name one of these are due at once. Not with the ledger's lock held.
  void look_now(const std::set<std::string>& sop_instance_uids);

 private:
  struct Row {
    Commitment commitment;
    Digest digest;
    std::vector<CommitmentResult> results;
    bool references_kept = true;
  };
  enum class Standing { committed, failed, homeless, other_class, on_way, unknown };
  struct Found {
    Standing standing = Standing::committed;
    std::string words;
  };

  Row* find(const CommitmentId& id);
  std::int64_t active() const;
  bool move(Row& row, CommitmentEvent event, const Error* why);
  void write_history(const Row& row, std::string_view event, std::string_view from,
                     std::string_view why);
  void begin_again(Row& row, CommitmentEvent event);
  Result<Found> look_up(const Row& row, const CommitmentResult& reference,
                        const CommitmentLevels& levels);
  Result<std::vector<Found>> look_up_all(const CommitmentId& id, const CommitmentLevels& levels);
  std::vector<Commitment> due(CommitmentState state, WallTime until, std::size_t limit) const;
  std::optional<WallTime> next_at(CommitmentState state) const;

  Env& env_;
  Ledger& ledger_;
  mutable std::mutex mutex_;  // never held while the ledger is asked
  std::vector<Row> rows_;
  std::vector<HistoryEntry> history_;
};

}  // namespace isthmus::test
