// Upload sessions in memory, which outlive the store that keeps them: as a ledger outlives a
// process. Any thread; its members while nothing is uploaded.
#pragma once

#include <map>
#include <mutex>

#include "storage/upload_sessions.h"

namespace isthmus::test {

class MemoryUploadSessions : public UploadSessions {
 public:
  Result<std::optional<UploadSession>> find(const ObjectKey& key) override {
    const std::lock_guard lock(mutex_);
    const auto found = kept.find(key);
    return found == kept.end() ? std::nullopt : std::optional(found->second);
  }
  Result<void> keep(const ObjectKey& key, const UploadSession& session) override {
    const std::lock_guard lock(mutex_);
    kept.insert_or_assign(key, session);
    ++begun;
    return {};
  }
  Result<void> forget(const ObjectKey& key) override {
    const std::lock_guard lock(mutex_);
    kept.erase(key);
    return {};
  }

  std::map<ObjectKey, UploadSession> kept;
  int begun = 0;

 private:
  std::mutex mutex_;
};

}  // namespace isthmus::test
