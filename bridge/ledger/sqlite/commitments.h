// Storage commitment requests on SQLite.
#pragma once

#include "ledger/commitments.h"
#include "ledger/ledger.h"
#include "ledger/sqlite/rows.h"

namespace isthmus {

class SqliteLedger;

class SqliteCommitments final : public Commitments {
 public:
  explicit SqliteCommitments(SqliteLedger& ledger) : ledger_(ledger) {}

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

 private:
  SqliteLedger& ledger_;
};

}  // namespace isthmus
