// A file that one process at a time may hold: guards a database that must have a single writer.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"

namespace isthmus::sql {

// Held until destroyed, or until the process ends in whatever way: the kernel gives it up
// (flock(2)). The file itself stays, and means nothing.
class LockFile {
 public:
  // Does not wait. `<area>.locked` (permanent) when another holder, in this process or another, has
  // it; `<area>.io` (fatal) when the file cannot be made.
  static Result<LockFile> acquire(const std::filesystem::path& file, const std::string& error_area);

  LockFile(LockFile&& other) noexcept;
  LockFile& operator=(LockFile&& other) noexcept;
  ~LockFile();

 private:
  explicit LockFile(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

}  // namespace isthmus::sql
