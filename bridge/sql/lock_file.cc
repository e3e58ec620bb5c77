// The one place that takes file locks. flock and not fcntl: an fcntl lock is lost when any
// descriptor of the same file is closed anywhere in the process, and SQLite uses those on its own
// files.
#include "sql/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace isthmus::sql {

Result<LockFile> LockFile::acquire(const std::filesystem::path& file,
                                   const std::string& error_area) {
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (descriptor < 0) {
    const bool full = errno == ENOSPC || errno == EDQUOT;
    const std::string why = std::strerror(errno);
    if (full) return transient_error(error_area + ".full", "No space for the lock file: " + why);
    return fatal_error(error_area + ".io", "The lock file cannot be opened: " + why);
  }
  LockFile lock(descriptor);
  int taken = 0;
  do {
    taken = ::flock(descriptor, LOCK_EX | LOCK_NB);
  } while (taken != 0 && errno == EINTR);
  if (taken == 0) return lock;
  if (errno == EWOULDBLOCK) {
    return permanent_error(error_area + ".locked",
                           "Another process has it open; stop that one first.");
  }
  return fatal_error(error_area + ".io",
                     std::string("The lock file cannot be locked: ") + std::strerror(errno));
}

LockFile::LockFile(LockFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

LockFile& LockFile::operator=(LockFile&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

LockFile::~LockFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace isthmus::sql
