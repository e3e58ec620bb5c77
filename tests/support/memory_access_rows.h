// AccessRows in memory. Any thread.
#pragma once

#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "ledger/access_rows.h"

namespace isthmus::test {

class MemoryAccessRows : public AccessRows {
 public:
  // Every call until the next change of mind fails with this; nothing happens.
  void refuse(std::optional<Error> error);

  Result<std::vector<TokenRow>> tokens() override;
  Result<void> add_token(const TokenRow& row) override;
  Result<bool> revoke_token(std::string_view id_or_name, WallTime at) override;
  Result<std::vector<std::string>> paused_destinations() override;
  Result<void> pause_destination(std::string_view name) override;
  Result<void> resume_destination(std::string_view name) override;
  Result<void> append(const AuditEntry& entry) override;
  Result<std::vector<AuditEntry>> audit(std::int64_t before, std::size_t limit) override;

 private:
  std::mutex mutex_;
  std::optional<Error> error_;
  std::vector<TokenRow> tokens_;
  std::set<std::string, std::less<>> paused_;
  std::vector<AuditEntry> audit_;
};

}  // namespace isthmus::test
