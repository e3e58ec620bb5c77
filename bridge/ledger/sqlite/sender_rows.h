// SenderRows on SQLite.
#pragma once

#include "ledger/sender_rows.h"

namespace isthmus {

class SqliteLedger;

// Over the ledger's committer and readers; part of it.
class SqliteSenderRows final : public SenderRows {
 public:
  explicit SqliteSenderRows(SqliteLedger& ledger) : ledger_(ledger) {}

  Result<std::vector<SenderRow>> senders() override;
  Result<void> put(const SenderRow& row) override;
  Result<bool> remove(std::string_view name) override;
  Result<std::int64_t> remember(const std::vector<RefusedSender>& refused) override;
  Result<std::vector<RefusedSender>> refused() override;
  Result<std::int64_t> forget(std::string_view calling_ae_title,
                              std::string_view peer_address) override;

 private:
  SqliteLedger& ledger_;
};

}  // namespace isthmus
