// Large uploads that have begun and not ended, so that a process which dies, or is stopped, in the
// middle of one goes on with it (decisions/0025-one-place-for-uploads.md). How much of an object
// the bucket has, the bucket itself is asked; only what the upload is called there would be lost.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/digest.h"
#include "base/env.h"
#include "model/layout.h"

namespace isthmus {

struct UploadSession {
  // The store's own words: a session's address, an upload's id. Whoever has a session's address may
  // write the object: a secret, never logged.
  std::string token;
  // Of the whole object: an upload is gone on with by the same bytes only.
  Digest digest;
  std::uint64_t size_bytes = 0;
};

// One for each key, of one bucket. Any thread; one at a time for one key. Losing a session costs an
// upload from its start, and nothing else. Errors are those of what keeps them ("disk.…").
class UploadSessions {
 public:
  virtual ~UploadSessions() = default;
  // Nothing as well when what was kept cannot be read.
  virtual Result<std::optional<UploadSession>> find(const ObjectKey& key) = 0;
  // Replaces what was kept for the key. Survives a power cut once it returns.
  virtual Result<void> keep(const ObjectKey& key, const UploadSession& session) = 0;
  // Forgetting what is not kept succeeds.
  virtual Result<void> forget(const ObjectKey& key) = 0;
};

// A small file for each in `directory`, which is made: nobody but its owner can read them. Those
// that were begun more than a week ago are removed when it is opened: the services drop them then.
// `env` must outlive it.
Result<std::unique_ptr<UploadSessions>> open_upload_sessions(Env& env, FileSystem::Path directory);

// What a store knows of its uploads. Trouble with keeping them is logged and not in the way: with a
// full disk, going up is how it gets room again. Null sessions: nothing outlives the upload.
class UploadsInProgress {
 public:
  UploadsInProgress(Env& env, UploadSessions* sessions) : env_(env), sessions_(sessions) {}

  bool outlive_the_process() const { return sessions_ != nullptr; }
  std::optional<UploadSession> find(const ObjectKey& key);
  void keep(const ObjectKey& key, const UploadSession& session);
  void forget(const ObjectKey& key);

 private:
  void tell(const Result<void>& done);

  Env& env_;
  UploadSessions* const sessions_;
};

}  // namespace isthmus
