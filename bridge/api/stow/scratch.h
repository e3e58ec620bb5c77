// Parts that are neither an instance nor small: bulk data and metadata of one request, in one file,
// until the instances are put together. Nothing in it was promised. Private to api/stow.
#pragma once

#include <memory>
#include <string>

#include "base/env.h"
#include "spool/admission.h"

namespace isthmus::api::stow {

// One thread at a time. The file is there from the first byte until this is destroyed.
class Scratch {
 public:
  Scratch(Env& env, Admission& admission, FileSystem::Path directory)
      : env_(env), admission_(admission), directory_(std::move(directory)) {}
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // "spool.full", "spool.closed", "spool.io" (transient).
  Result<void> append(ByteSpan bytes);
  std::uint64_t size() const { return size_; }
  // All of [offset, offset + length). "spool.io" (transient).
  Result<void> read(std::uint64_t offset, std::uint64_t length,
                    const std::function<Result<void>(ByteSpan)>& sink) const;

  // Removes what a process that was killed left. For the start, before any request.
  static Result<void> sweep(Env& env, const FileSystem::Path& directory);

 private:
  Result<void> begin();

  Env& env_;
  Admission& admission_;
  const FileSystem::Path directory_;
  FileSystem::Path path_;
  std::unique_ptr<File> file_;
  std::uint64_t size_ = 0;
};

}  // namespace isthmus::api::stow
