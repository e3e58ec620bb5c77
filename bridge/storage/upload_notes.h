// Uploads in parts that have begun and not ended, so that a process which dies, or is stopped, in
// the middle of a large object goes on with it. What the bucket has of it, the bucket itself is
// asked; only the upload's id would be lost (decisions/0019-notes-of-uploads.md).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/env.h"
#include "model/layout.h"

namespace isthmus {

// Any thread; one at a time for one key. Losing a note costs an upload from its start, and parts in
// the bucket until its lifecycle rule removes them; so errors ("disk.…") are for the caller to
// count, not to stop at.
class UploadNotes {
 public:
  virtual ~UploadNotes() = default;
  virtual Result<std::optional<std::string>> find(const ObjectKey& key) = 0;
  virtual Result<void> keep(const ObjectKey& key, const std::string& upload_id) = 0;
  // Forgetting nothing succeeds.
  virtual Result<void> forget(const ObjectKey& key) = 0;
};

// A small file for each in `directory`, which is made; of one bucket. `env` must outlive it.
Result<std::unique_ptr<UploadNotes>> open_upload_notes(Env& env, FileSystem::Path directory);

}  // namespace isthmus
