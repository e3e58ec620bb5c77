// SenderRows in memory. Any thread.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "ledger/sender_rows.h"

namespace isthmus::test {

class MemorySenderRows : public SenderRows {
 public:
  // Every call until the next change of mind fails with this; nothing happens.
  void refuse(std::optional<Error> error);

  Result<std::vector<SenderRow>> senders() override;
  Result<void> put(const SenderRow& row) override;
  Result<bool> remove(std::string_view name) override;
  Result<std::int64_t> remember(const std::vector<RefusedSender>& refused) override;
  Result<std::vector<RefusedSender>> refused() override;
  Result<std::int64_t> forget(std::string_view calling_ae_title,
                              std::string_view peer_address) override;

 private:
  std::int64_t forget_oldest_beyond(std::int64_t limit, const std::string* address);

  std::mutex mutex_;
  std::optional<Error> error_;
  std::map<std::string, SenderRow> senders_;
  std::vector<RefusedSender> refused_;  // in the order in which they were first seen
};

}  // namespace isthmus::test
