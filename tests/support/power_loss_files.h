// A disk in memory that loses what was not synced. It answers every call as a real one would, and
// keeps beside each file and directory what a power cut would leave of it:
//
// - bytes of a file survive only File::sync; of those written since, a cut keeps nothing, or a
// random
//   part page by page, with a random length (so that a torn tail and holes of zeros occur);
// - a create, rename or remove survives only sync_directory of its directory; of those since, a cut
//   keeps nothing, or a random subset in any order a disk may choose (a rename wholly or not at
//   all);
// - a failed sync drops what it should have written, for good: it stays readable until the cut, and
// a
//   later sync that succeeds does not bring it back (as Linux does).
//
// Files opened before a cut are dead after it, and every call fails until power_on(), so that
// threads of the "killed process" cannot touch what the next one sees. Any thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"

namespace isthmus::test {

enum class FileOperation {
  open,
  append,
  write_at,
  read_at,
  sync,
  rename,
  remove,
  sync_directory,
  create_directories,
  exists,
  list,
  space,
};
std::string_view to_string(FileOperation operation);

// What of the unsynced state a cut keeps.
struct PowerCut {
  // Nothing at all, or (with a seed) a random subset of pages, lengths and directory entries.
  std::optional<std::uint64_t> keep_some_seed;
};

struct LoggedOperation {
  FileOperation operation;
  FileSystem::Path path;
  FileSystem::Path target;  // of a rename
};

class PowerLossFiles final : public FileSystem {
 public:
  PowerLossFiles();
  ~PowerLossFiles() override;

  Result<std::unique_ptr<File>> open(const Path& path, Mode mode) override;
  Result<void> rename(const Path& from, const Path& to) override;
  Result<void> remove(const Path& path) override;
  Result<void> sync_directory(const Path& directory) override;
  Result<void> create_directories(const Path& directory) override;
  Result<bool> exists(const Path& path) override;
  Result<std::vector<std::string>> list(const Path& directory) override;
  Result<SpaceInfo> space(const Path& directory) override;

  // --- power ----------------------------------------------------------------------------------
  // From now on the disk holds what survived; nothing can be called before power_on().
  void cut_power(PowerCut cut = {});
  void power_on();
  bool is_on() const;
  // The cut comes in place of the `nth` (1 is the next) operation that changes or syncs something.
  void cut_power_at(std::uint64_t nth_change, PowerCut cut);
  // Operations so far that changed or synced something: what cut_power_at counts.
  std::uint64_t changes() const;

  // --- faults ---------------------------------------------------------------------------------
  // The next such operation, after `skip` more that go well, fails. A sync that fails drops its
  // data.
  void fail_next(FileOperation operation, Error error, std::size_t skip = 0);
  void fail_next_sync() { fail_next(FileOperation::sync, disk_io_error()); }
  void fail_next_directory_sync() { fail_next(FileOperation::sync_directory, disk_io_error()); }
  // Bytes that may still be written; an append that needs more writes what fits and is "disk.full".
  void set_free_bytes(std::uint64_t free_bytes);
  // A disk that lies: syncs succeed and make nothing durable. To prove that a suite would see it.
  void ignore_file_syncs(bool ignore);
  void ignore_directory_syncs(bool ignore);
  static Error disk_io_error();

  // --- what was done --------------------------------------------------------------------------
  std::vector<LoggedOperation> operations() const;
  std::size_t count(FileOperation operation) const;  // those that succeeded
  void forget_operations();
  // Bytes in the longest single append or write_at, since the start.
  std::size_t largest_write_bytes() const;

 private:
  friend class PowerLossFile;
  struct Node;
  struct EntryChange;
  struct Fault {
    Error error;
    std::size_t skip = 0;
  };
  using NodePtr = std::shared_ptr<Node>;

  // All of these are called with mutex_ held.
  std::optional<Error> refuse(FileOperation operation, bool changes);
  void done(FileOperation operation, const Path& path, const Path& target = {});
  NodePtr find(const Path& path) const;
  NodePtr parent_of(const Path& path) const;
  void change_entry(EntryChange change);
  void cut(PowerCut cut);
  void release(const NodePtr& node);

  mutable std::mutex mutex_;
  NodePtr root_;
  std::vector<EntryChange> pending_;  // directory changes not durable yet, oldest first
  bool on_ = true;
  std::uint64_t boots_ = 0;
  std::uint64_t changes_ = 0;
  std::optional<std::uint64_t> cut_at_change_;
  PowerCut cut_then_;
  std::map<FileOperation, Fault> faults_;
  std::uint64_t free_bytes_;
  bool ignore_file_syncs_ = false;
  bool ignore_directory_syncs_ = false;
  std::vector<LoggedOperation> log_;
  std::map<FileOperation, std::size_t> counts_;
  std::size_t largest_write_bytes_ = 0;
};

}  // namespace isthmus::test
