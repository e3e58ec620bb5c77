// Uploads in progress, kept in the ledger: a store's sessions outlive the process (decision 0020).
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "base/env.h"
#include "ledger/receiver_rows.h"
#include "storage/upload_sessions.h"

namespace isthmus::app {

// All sessions of one destination in one mark of the ledger: there are as many as uploads at a
// time, and those that a crash or an outage left. What is older than a week is dropped, as the
// services do. Any thread; `rows` must outlive it. Errors are the ledger's.
class UploadBook : public UploadSessions {
 public:
  UploadBook(Env& env, ReceiverRows& rows, const std::string& destination)
      : env_(env), rows_(rows), mark_("uploads:" + destination) {}

  Result<std::optional<UploadSession>> find(const ObjectKey& key) override;
  Result<void> keep(const ObjectKey& key, const UploadSession& session) override;
  Result<void> forget(const ObjectKey& key) override;

 private:
  struct Entry {
    UploadSession session;
    WallTime begun_at;
  };

  // Changes of a book are written one after the other, each whole: hence the lock over the write.
  Result<void> load();
  Result<void> save();

  Env& env_;
  ReceiverRows& rows_;
  const std::string mark_;
  std::mutex mutex_;
  std::optional<std::map<ObjectKey, Entry>> entries_;
};

}  // namespace isthmus::app
