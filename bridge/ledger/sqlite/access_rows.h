// AccessRows on SQLite.
#pragma once

#include "ledger/access_rows.h"

namespace isthmus {

class SqliteLedger;

// Over the ledger's committer and readers; part of it.
class SqliteAccessRows final : public AccessRows {
 public:
  explicit SqliteAccessRows(SqliteLedger& ledger) : ledger_(ledger) {}

  Result<std::vector<TokenRow>> tokens() override;
  Result<void> add_token(const TokenRow& row) override;
  Result<bool> revoke_token(std::string_view id_or_name, WallTime at) override;
  Result<std::vector<std::string>> paused_destinations() override;
  Result<void> pause_destination(std::string_view name) override;
  Result<void> resume_destination(std::string_view name) override;
  Result<void> append(const AuditEntry& entry) override;
  Result<std::vector<AuditEntry>> audit(std::int64_t before, std::size_t limit) override;

 private:
  SqliteLedger& ledger_;
};

}  // namespace isthmus
