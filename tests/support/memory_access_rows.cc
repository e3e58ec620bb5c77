#include "support/memory_access_rows.h"

#include <algorithm>

namespace isthmus::test {

void MemoryAccessRows::refuse(std::optional<Error> error) {
  const std::lock_guard lock(mutex_);
  error_ = std::move(error);
}

Result<std::vector<TokenRow>> MemoryAccessRows::tokens() {
  const std::lock_guard lock(mutex_);
  if (error_) return *error_;
  return tokens_;
}

Result<void> MemoryAccessRows::add_token(const TokenRow& row) {
  const std::lock_guard lock(mutex_);
  if (error_) return *error_;
  const bool taken = std::ranges::any_of(tokens_, [&](const TokenRow& other) {
    return other.id == row.id || (other.name == row.name && !other.revoked_at);
  });
  if (taken || row.id.size() != 16 || row.name.empty() || row.name.size() > 64 ||
      row.digest.size() != 64) {
    return permanent_error("ledger.constraint", "A row that cannot be.");
  }
  tokens_.push_back(row);
  return {};
}

Result<bool> MemoryAccessRows::revoke_token(std::string_view id_or_name, WallTime at) {
  const std::lock_guard lock(mutex_);
  if (error_) return *error_;
  for (TokenRow& row : tokens_) {
    if (row.revoked_at || (row.id != id_or_name && row.name != id_or_name)) continue;
    row.revoked_at = at;
    return true;
  }
  return false;
}

Result<std::vector<std::string>> MemoryAccessRows::paused_destinations() {
  const std::lock_guard lock(mutex_);
  if (error_) return *error_;
  return std::vector<std::string>(paused_.begin(), paused_.end());
}

Result<void> MemoryAccessRows::pause_destination(std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (error_) return *error_;
  paused_.emplace(name);
  return {};
}

Result<void> MemoryAccessRows::resume_destination(std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (error_) return *error_;
  if (const auto known = paused_.find(name); known != paused_.end()) paused_.erase(known);
  return {};
}

Result<void> MemoryAccessRows::append(const AuditEntry& entry) {
  const std::lock_guard lock(mutex_);
  if (error_) return *error_;
  audit_.push_back(entry);
  audit_.back().seq = static_cast<std::int64_t>(audit_.size());
  return {};
}

Result<std::vector<AuditEntry>> MemoryAccessRows::audit(std::int64_t before, std::size_t limit) {
  const std::lock_guard lock(mutex_);
  if (error_) return *error_;
  std::vector<AuditEntry> found;
  for (auto entry = audit_.rbegin(); entry != audit_.rend() && found.size() < limit; ++entry) {
    if (before <= 0 || entry->seq < before) found.push_back(*entry);
  }
  return found;
}

}  // namespace isthmus::test
