// The real disk. Every call that can be interrupted is repeated; a failed sync never is.
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/env.h"

namespace isthmus {
namespace {

using Path = FileSystem::Path;

// Names the operation and errno's words, never the path: paths of test data may carry names.
Error disk_error(const char* operation, int number) {
  const std::string text = std::string(operation) + ": " + std::strerror(number);
  if (number == ENOSPC || number == EDQUOT) {
    return transient_error("disk.full", text + ". Free space on the file system.");
  }
  if (number == ENOENT || number == ENOTDIR) return permanent_error("disk.not_found", text);
  if (number == EEXIST) return permanent_error("disk.exists", text);
  return permanent_error("disk.io", text);
}

class PosixFile : public File {
 public:
  explicit PosixFile(int descriptor) : descriptor_(descriptor) {}
  ~PosixFile() override { ::close(descriptor_); }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  Result<void> append(ByteSpan bytes) override {
    if (!end_) {
      TRY_ASSIGN(end_, size());
    }
    TRY(write_at(*end_, bytes));
    *end_ += bytes.size();
    return {};
  }

  Result<void> write_at(std::uint64_t offset, ByteSpan bytes) override {
    while (!bytes.empty()) {
      const auto count =
          ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (count < 0) {
        if (errno == EINTR) continue;
        return disk_error("write", errno);
      }
      offset += static_cast<std::uint64_t>(count);
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
    return {};
  }

  Result<void> write_pieces_at(std::uint64_t offset, std::span<const ByteSpan> pieces) override {
    while (!pieces.empty()) {
      const auto batch = pieces.first(std::min(pieces.size(), kPiecesAtOnce));
      pieces = pieces.subspan(batch.size());
      TRY(write_batch(offset, batch));
      for (const ByteSpan piece : batch) offset += piece.size();
    }
    return {};
  }

  Result<std::size_t> read_at(std::uint64_t offset, MutableByteSpan into) const override {
    std::size_t done = 0;
    while (done < into.size()) {
      const auto count = ::pread(descriptor_, into.data() + done, into.size() - done,
                                 static_cast<off_t>(offset + done));
      if (count < 0) {
        if (errno == EINTR) continue;
        return disk_error("read", errno);
      }
      if (count == 0) break;
      done += static_cast<std::size_t>(count);
    }
    return done;
  }

  Result<void> sync() override {
    if (::fdatasync(descriptor_) != 0) return disk_error("sync", errno);
    return {};
  }

  Result<std::uint64_t> size() const override {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) return disk_error("stat", errno);
    return static_cast<std::uint64_t>(status.st_size);
  }

 private:
  static constexpr std::size_t kPiecesAtOnce = 64;

  // What one call left over is written piece by piece: that is rare.
  Result<void> write_batch(std::uint64_t offset, std::span<const ByteSpan> pieces) {
    std::array<iovec, kPiecesAtOnce> vector{};
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      vector[i] = {const_cast<std::byte*>(pieces[i].data()), pieces[i].size()};
    }
    ssize_t count = 0;
    do {
      count = ::pwritev(descriptor_, vector.data(), static_cast<int>(pieces.size()),
                        static_cast<off_t>(offset));
    } while (count < 0 && errno == EINTR);
    if (count < 0) return disk_error("write", errno);
    auto written = static_cast<std::size_t>(count);
    for (const ByteSpan piece : pieces) {
      const std::size_t done = std::min(written, piece.size());
      written -= done;
      if (done < piece.size()) TRY(write_at(offset + done, piece.subspan(done)));
      offset += piece.size();
    }
    return {};
  }

  const int descriptor_;
  std::optional<std::uint64_t> end_;
};

class PosixFiles : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const Path& path, Mode mode) override {
    int flags = O_CLOEXEC;
    switch (mode) {
      case Mode::create_new:
        flags |= O_RDWR | O_CREAT | O_EXCL;
        break;
      case Mode::open_or_create:
        flags |= O_RDWR | O_CREAT;
        break;
      case Mode::read_only:
        flags |= O_RDONLY;
        break;
      case Mode::direct:
        flags |= O_RDWR | O_DIRECT;
        break;
    }
    int descriptor = ::open(path.c_str(), flags, 0600);
    if (descriptor < 0 && errno == EINVAL && mode == Mode::direct) {
      descriptor = ::open(path.c_str(), flags & ~O_DIRECT, 0600);  // tmpfs, for one
    }
    if (descriptor < 0) return disk_error("open", errno);
    return std::unique_ptr<File>(std::make_unique<PosixFile>(descriptor));
  }

  Result<void> rename(const Path& from, const Path& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return disk_error("rename", errno);
    return {};
  }

  Result<void> remove(const Path& path) override {
    if (::unlink(path.c_str()) != 0) return disk_error("remove", errno);
    return {};
  }

  Result<void> sync_directory(const Path& directory) override {
    const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return disk_error("open directory", errno);
    const int outcome = ::fsync(descriptor);
    const int number = errno;
    ::close(descriptor);
    if (outcome != 0) return disk_error("sync directory", number);
    return {};
  }

  Result<void> create_directories(const Path& directory) override {
    if (directory.empty() || directory == directory.root_path()) return {};
    if (::mkdir(directory.c_str(), 0700) == 0) return sync_directory(parent_of(directory));
    if (errno == EEXIST) return {};
    if (errno != ENOENT) return disk_error("create directory", errno);
    TRY(create_directories(parent_of(directory)));
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
      return disk_error("create directory", errno);
    }
    return sync_directory(parent_of(directory));
  }

  Result<bool> exists(const Path& path) override {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return disk_error("stat", errno);
  }

  Result<std::vector<std::string>> list(const Path& directory) override {
    DIR* stream = ::opendir(directory.c_str());
    if (stream == nullptr) return disk_error("list", errno);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(stream)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    const int number = errno;
    ::closedir(stream);
    if (number != 0) return disk_error("list", number);
    return names;
  }

  Result<SpaceInfo> space(const Path& directory) override {
    struct statvfs status {};
    if (::statvfs(directory.c_str(), &status) != 0) return disk_error("space", errno);
    return SpaceInfo{static_cast<std::uint64_t>(status.f_blocks) * status.f_frsize,
                     static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize};
  }

 private:
  static Path parent_of(const Path& path) {
    const Path parent = path.parent_path();
    return parent.empty() ? Path(".") : parent;
  }
};

}  // namespace

std::uint64_t raise_open_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : before;
}

FileSystem& posix_files() {
  static PosixFiles files;
  return files;
}

}  // namespace isthmus
