// Where uploads that were begun can be gone on with: what a store needs to know of them after its
// process was killed.
#pragma once

#include <optional>
#include <string>

#include "base/digest.h"
#include "model/layout.h"

namespace isthmus {

struct UploadSession {
  // The store's own words: a session's address, an upload's id. Whoever has it may write the
  // object: a secret.
  std::string token;
  // Of the whole object: a session is gone on with by the same bytes only.
  Digest digest;
  std::uint64_t size_bytes = 0;
};

// One session for each key, of one store. Any thread. Errors are those of what keeps them.
class UploadSessions {
 public:
  virtual ~UploadSessions() = default;
  virtual Result<std::optional<UploadSession>> find(const ObjectKey& key) = 0;
  // Replaces what was kept for the key. Survives a power cut once it returns.
  virtual Result<void> keep(const ObjectKey& key, const UploadSession& session) = 0;
  // Forgetting what is not kept succeeds.
  virtual Result<void> forget(const ObjectKey& key) = 0;
};

}  // namespace isthmus
