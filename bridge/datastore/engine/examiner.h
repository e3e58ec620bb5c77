// Has files examined where a crash costs one file: a port, and its implementation by processes.
#pragma once

#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "datastore/engine/dictionary.h"
#include "datastore/engine/examination.h"
#include "datastore/engine/frame_store.h"
#include "datastore/engine/worker_process.h"

namespace isthmus::datastore {

// A file whose metadata are others: `head`, and behind it the file's own bytes from `tail` on.
struct RewrittenFile {
  Bytes head;
  std::uint64_t tail = 0;
};

// A file in another transfer syntax: `head`, the pixel data element, and `behind`.
struct TranscodedFile {
  struct Pixels {
    std::uint32_t tag = 0;
    std::string vr;
    // Where the value lies in the file; nothing when it is made of decoded frames.
    std::optional<std::pair<std::uint64_t, std::uint64_t>> range;
  };
  Bytes head, behind;
  std::optional<Pixels> pixels;
};

class Examiner {
 public:
  virtual ~Examiner() = default;
  // Always an examination when the file, whatever is in it, was the problem. Any thread, many at
  // once. "datastore.worker_start" (transient): nothing can be examined now.
  virtual Result<Examination> examine(const FileSystem::Path& file) = 0;
  // What the data dictionary says of these keywords; what it does not know is left out. Any thread.
  // "datastore.worker_start", "datastore.worker_answer" (transient).
  virtual Result<Dictionary> look_up(const std::vector<std::string>& keywords) = 0;
  // The file with these metadata (JSON, rewrite.h) instead of its own; nothing when they are its
  // own. "rewrite.unsupported" (permanent) when it cannot be made. Any thread.
  virtual Result<std::optional<RewrittenFile>> rewrite(const FileSystem::Path& file,
                                                       const nlohmann::json& metadata) = 0;
  // The file with these metadata (null: its own) for another transfer syntax: Explicit VR Little
  // Endian, or one with fragments. "rewrite.unsupported" (permanent) as above. Any thread.
  virtual Result<TranscodedFile> transcode(const FileSystem::Path& file,
                                           const nlohmann::json& metadata,
                                           const std::string& transfer_syntax_uid) = 0;
};

struct ProcessExaminerOptions {
  FileSystem::Path program;
  Milliseconds file_timeout{30'000};
  std::uint64_t memory_bytes = 1 * GiB;
  std::uint64_t answer_bytes = 192 * MiB;  // longest answer taken
};

// Keeps idle processes for the next file; as many as callers at once. A process that dies is
// replaced and the file tried once more, because something else than the file may have ended it;
// when it dies again, the file is refused. One that takes too long is killed.
class ProcessExaminer : public Examiner, public FrameRenderer {
 public:
  ProcessExaminer(Env& env, ProcessExaminerOptions options);
  Result<Examination> examine(const FileSystem::Path& file) override;
  Result<Dictionary> look_up(const std::vector<std::string>& keywords) override;
  Result<std::optional<RewrittenFile>> rewrite(const FileSystem::Path& file,
                                               const nlohmann::json& metadata) override;
  Result<TranscodedFile> transcode(const FileSystem::Path& file, const nlohmann::json& metadata,
                                   const std::string& transfer_syntax_uid) override;
  Result<Bytes> render(const FileSystem::Path& file, const FrameOrder& order) override;

 private:
  Result<std::unique_ptr<WorkerProcess>> lease();
  void give_back(std::unique_ptr<WorkerProcess> process);
  Result<std::string> ask_once(const std::string& request);
  // An answer that says "ok"; a refusal is an error.
  Result<nlohmann::json> ask_for_file(const nlohmann::json& request);

  Env& env_;
  const ProcessExaminerOptions options_;
  Counter& deaths_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<WorkerProcess>> idle_;
};

}  // namespace isthmus::datastore
