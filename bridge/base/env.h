// The outside world as values passed in: time, disk, randomness, log, metrics. Everything that has
// a fake in tests comes from here and from http::Transport; nothing else may call the system for
// it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/result.h"

namespace isthmus {

// Wall time is for records and dates that survive a restart; steady time is for waiting.
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;
using SteadyTime = std::chrono::time_point<std::chrono::steady_clock, std::chrono::milliseconds>;
using Milliseconds = std::chrono::milliseconds;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime wall_now() const = 0;
  virtual SteadyTime steady_now() const = 0;
  // Blocks the calling thread. For pacing inside adapters; steps return a date instead.
  virtual void sleep_for(Milliseconds duration) = 0;
};

// "2026-01-31T09:30:00.125Z" (RFC 3339, UTC), and back; nothing when it is not that form.
std::string to_rfc3339(WallTime time);
std::optional<WallTime> from_rfc3339(std::string_view text);

class Entropy {
 public:
  virtual ~Entropy() = default;
  virtual void fill(MutableByteSpan into) = 0;
};
// 32 lower-case hex digits, time-ordered; see Id.
struct Env;
std::string make_id_text(Env& env);
// A number in [0, 1), for jitter.
double unit_random(Entropy& entropy);

// What Mode::direct needs: offsets, lengths and memory addresses are multiples of it.
constexpr std::size_t kDirectAlignment = 4096;

// An open file. One thread at a time, but for read_at, write_at and write_pieces_at on parts that
// do not overlap, and sync: those any number may call at once.
class File {
 public:
  virtual ~File() = default;
  // Appends all of `bytes`. "disk.full" (transient) when there is no space, "disk.io" otherwise.
  virtual Result<void> append(ByteSpan bytes) = 0;
  // Writes all of `bytes` at `offset`.
  virtual Result<void> write_at(std::uint64_t offset, ByteSpan bytes) = 0;
  // Writes the pieces one behind the other from `offset` on, in as few calls as the system takes.
  virtual Result<void> write_pieces_at(std::uint64_t offset, std::span<const ByteSpan> pieces);
  // Reads up to into.size() bytes at `offset`; fewer only at the end of the file.
  virtual Result<std::size_t> read_at(std::uint64_t offset, MutableByteSpan into) const = 0;
  // The bytes written so far survive a power cut. A failed sync must never be repeated: what the
  // kernel dropped stays dropped. The caller gives the file up, or treats it as fatal.
  virtual Result<void> sync() = 0;
  virtual Result<std::uint64_t> size() const = 0;
};

struct SpaceInfo {
  std::uint64_t total_bytes = 0;
  std::uint64_t free_bytes = 0;  // what an unprivileged writer may still take
};

// The disk. Errors: "disk.full" (transient), "disk.not_found" and "disk.exists" (permanent),
// "disk.io" (permanent; the caller decides whether it makes the state of its own files doubtful).
class FileSystem {
 public:
  using Path = std::filesystem::path;
  enum class Mode {
    create_new,      // fails with "disk.exists" when it is there
    open_or_create,  // read and write, keeps what is there
    read_only,
    direct,  // reads and writes what is there, past the page cache where the file system can;
             // reads and writes are aligned to kDirectAlignment
  };

  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> open(const Path& path, Mode mode) = 0;
  // Atomic. Durable only after sync_directory of the target's directory.
  virtual Result<void> rename(const Path& from, const Path& to) = 0;
  // Removing what is not there is "disk.not_found".
  virtual Result<void> remove(const Path& path) = 0;
  virtual Result<void> sync_directory(const Path& directory) = 0;
  // Creates missing parents too, each one durable in its own parent before it returns.
  virtual Result<void> create_directories(const Path& directory) = 0;
  virtual Result<bool> exists(const Path& path) = 0;
  // Plain names (no path), files and folders, in no order.
  virtual Result<std::vector<std::string>> list(const Path& directory) = 0;
  virtual Result<SpaceInfo> space(const Path& directory) = 0;
};

// Everything above in one place. Members outlive whatever is given the Env.
struct Env {
  Clock& clock;
  FileSystem& files;
  Entropy& entropy;
  Log& log;
  Metrics& metrics;
  // Our own storage lies, or a thread died of a bug: the owner of the process closes admission and
  // stops. Returns; may be called from any thread and more than once.
  std::function<void(const Error&)> on_fatal;
};

// The value of an environment variable, when it is set. For composition roots only.
std::optional<std::string> environment_variable(const std::string& name);

// Lets this process hold as many open files and sockets as the system allows it to (the hard
// limit). Gives the limit in force.
std::uint64_t raise_open_file_limit();

// The real ones, one set per process.
Clock& system_clock();
FileSystem& posix_files();
Entropy& system_entropy();

// A source that reads a file from `offset` for `length` bytes, and shares ownership of nothing: it
// owns the open file.
std::unique_ptr<ByteSource> source_of_file(std::unique_ptr<File> file, std::uint64_t offset,
                                           std::uint64_t length);

}  // namespace isthmus
