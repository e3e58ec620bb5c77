// An upload in a session: pieces, each from where the store says it has come to. Private to
// storage.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "http/http.h"
#include "storage/gcs.h"
#include "storage/gcs/answers.h"
#include "wire/gcs.h"

namespace isthmus::gcs {

// What goes up, and under which condition.
struct Upload {
  ObjectKey key;
  std::shared_ptr<ByteSource> bytes;
  Sums sums;
  std::int64_t generation = 0;  // that is replaced; 0: there is no object
};

class ResumableUploads {
 public:
  // `once` sends without retries of its own, `retrying` with; they and `sessions` must outlive it.
  ResumableUploads(Env& env, http::Transport& once, http::Transport& retrying,
                   UploadSessions* sessions, const GcsOptions& options)
      : env_(env), once_(once), retrying_(retrying), uploads_(env, sessions), options_(options) {}

  // The object as the store confirms it. kConditionFailed when another generation is there. An
  // error that may pass leaves the session where the next try finds it.
  Result<wire::gcs::Object> put(const Upload& upload);
  // Ends the upload of a key that nobody will go on with.
  void end(const ObjectKey& key);

 private:
  // How far a session has come: bytes, or the whole object.
  struct Progress {
    std::uint64_t bytes = 0;
    std::optional<wire::gcs::Object> object;
  };

  Result<std::string> session_of(const Upload& upload, bool& is_known);
  Result<std::string> begin(const Upload& upload);
  Result<wire::gcs::Object> go_on(const Upload& upload, const std::string& session, bool is_known);
  Result<Progress> ask(const Upload& upload, const std::string& session);
  Result<Progress> send_piece(const Upload& upload, const std::string& session,
                              const std::shared_ptr<Cursor>& cursor, std::uint64_t offset);
  Result<Progress> progress_of(http::Response response);
  std::string url_of(const std::string& target) const;

  Env& env_;
  http::Transport& once_;
  http::Transport& retrying_;
  UploadsInProgress uploads_;
  const GcsOptions& options_;
};

// A request may take this long, and as much longer as its body takes on a slow line.
Milliseconds timeout_for(std::uint64_t size_bytes);
// "/upload/storage/v1/b/bucket/o?uploadType=…&name=…&ifGenerationMatch=…"
std::string upload_target(const GcsOptions& options, const char* type, const ObjectKey& key,
                          std::int64_t generation);
std::string endpoint_of(const GcsOptions& options);

}  // namespace isthmus::gcs
