#include "fault/power/power_loss_vfs.h"

#include <sqlite3.h>

#include <array>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "support/durable_bytes.h"

namespace isthmus::test {
namespace {

struct Handle;

// The shared memory of a log's index, and who holds which of its locks.
struct SharedMemory {
  std::vector<std::unique_ptr<char[]>> regions;
  std::array<int, SQLITE_SHM_NLOCK> shared{};
  std::array<const Handle*, SQLITE_SHM_NLOCK> exclusive{};
  int users = 0;
};

struct Node {
  DurableBytes bytes;
  bool is_journal = false;  // of either kind
  bool is_log = false;
  bool creation_is_synced = false;
  // The database's own locks (sqlite3_io_methods::xLock).
  int shared = 0;
  const Handle* reserved = nullptr;
  const Handle* pending = nullptr;
  SharedMemory memory;
};
using NodePtr = std::shared_ptr<Node>;

}  // namespace

struct PowerLossVfs::Disk {
  sqlite3_vfs vfs{};
  sqlite3_vfs* real = nullptr;

  mutable std::mutex mutex;
  std::map<std::string, NodePtr> names, durable_names;
  bool is_on = true;
  std::uint64_t boots = 0;
  std::uint64_t changes = 0;
  std::optional<std::uint64_t> cut_at_change;
  PowerCut cut_then;
  bool ignore_log_syncs = false;

  // Everything below is called with the mutex held.

  // Counts a change, and makes the cut come in its place when it is due.
  bool may_change() {
    ++changes;
    if (is_on && cut_at_change && changes >= *cut_at_change) cut(cut_then);
    return is_on;
  }

  void cut(PowerCut what) {
    if (!is_on) return;
    is_on = false;
    ++boots;
    cut_at_change.reset();
    std::mt19937_64 random(what.keep_some_seed.value_or(0));
    if (what.keep_some_seed) {
      std::map<std::string, NodePtr> both = names;
      both.insert(durable_names.begin(), durable_names.end());
      for (const auto& [name, node] : both) {
        if (random() % 2 == 0) continue;  // this name's last change was lost
        const auto now = names.find(name);
        if (now == names.end()) {
          durable_names.erase(name);
        } else {
          durable_names[name] = now->second;
        }
      }
    }
    names.clear();
    for (const auto& [name, node] : durable_names) {
      // Locks and shared memory were in the process that is gone.
      const NodePtr survivor = std::make_shared<Node>();
      survivor->bytes = node->bytes;
      if (what.keep_some_seed) {
        survivor->bytes.tear(random);
      } else {
        survivor->bytes.fall_back();
      }
      survivor->is_journal = node->is_journal;
      survivor->is_log = node->is_log;
      survivor->creation_is_synced = true;
      names[name] = survivor;
    }
    durable_names = names;
  }
};

namespace {

using Disk = PowerLossVfs::Disk;

struct Handle {
  Disk* disk = nullptr;
  NodePtr node;
  std::uint64_t boot = 0;
  int level = SQLITE_LOCK_NONE;
  unsigned shared_slots = 0;
  unsigned exclusive_slots = 0;
  bool maps_memory = false;
};

// What SQLite allocates for an open file.
struct VfsFile : sqlite3_file {
  Handle* handle;
};

Handle& handle_of(sqlite3_file* file) {
  return *static_cast<VfsFile*>(file)->handle;
}
bool is_dead(const Handle& handle) {
  return !handle.disk->is_on || handle.disk->boots != handle.boot;
}

// --- bytes
// -----------------------------------------------------------------------------------------

int read(sqlite3_file* file, void* into, int length, sqlite3_int64 offset) {
  Handle& handle = handle_of(file);
  const std::lock_guard lock(handle.disk->mutex);
  if (is_dead(handle)) return SQLITE_IOERR_READ;
  const auto wanted = static_cast<std::size_t>(length);
  const MutableByteSpan span(static_cast<std::byte*>(into), wanted);
  const std::size_t got = handle.node->bytes.read(static_cast<std::size_t>(offset), span);
  if (got == wanted) return SQLITE_OK;
  std::fill(span.begin() + static_cast<std::ptrdiff_t>(got), span.end(), std::byte{0});
  return SQLITE_IOERR_SHORT_READ;
}

int write(sqlite3_file* file, const void* from, int length, sqlite3_int64 offset) {
  Handle& handle = handle_of(file);
  const std::lock_guard lock(handle.disk->mutex);
  if (is_dead(handle) || !handle.disk->may_change()) return SQLITE_IOERR_WRITE;
  handle.node->bytes.write(
      static_cast<std::size_t>(offset),
      ByteSpan(static_cast<const std::byte*>(from), static_cast<std::size_t>(length)));
  return SQLITE_OK;
}

int truncate(sqlite3_file* file, sqlite3_int64 size) {
  Handle& handle = handle_of(file);
  const std::lock_guard lock(handle.disk->mutex);
  if (is_dead(handle) || !handle.disk->may_change()) return SQLITE_IOERR_TRUNCATE;
  handle.node->bytes.truncate(static_cast<std::size_t>(size));
  return SQLITE_OK;
}

int sync(sqlite3_file* file, int) {
  Handle& handle = handle_of(file);
  Disk& disk = *handle.disk;
  const std::lock_guard lock(disk.mutex);
  if (is_dead(handle) || !disk.may_change()) return SQLITE_IOERR_FSYNC;
  Node& node = *handle.node;
  if (node.is_log && disk.ignore_log_syncs) return SQLITE_OK;
  node.bytes.sync();
  if (node.is_journal && !node.creation_is_synced) disk.durable_names = disk.names;
  node.creation_is_synced = true;
  return SQLITE_OK;
}

int file_size(sqlite3_file* file, sqlite3_int64* size) {
  Handle& handle = handle_of(file);
  const std::lock_guard lock(handle.disk->mutex);
  if (is_dead(handle)) return SQLITE_IOERR_FSTAT;
  *size = static_cast<sqlite3_int64>(handle.node->bytes.size());
  return SQLITE_OK;
}

// --- locks of the database file
// --------------------------------------------------------------------

int lock_file(sqlite3_file* file, int level) {
  Handle& handle = handle_of(file);
  const std::lock_guard lock(handle.disk->mutex);
  if (is_dead(handle)) return SQLITE_IOERR_LOCK;
  Node& node = *handle.node;
  if (level <= handle.level) return SQLITE_OK;
  if (level == SQLITE_LOCK_SHARED) {
    if (node.pending != nullptr) return SQLITE_BUSY;
    ++node.shared;
  } else if (level == SQLITE_LOCK_RESERVED) {
    if (node.reserved != nullptr) return SQLITE_BUSY;
    node.reserved = &handle;
  } else {
    if (node.pending != nullptr && node.pending != &handle) return SQLITE_BUSY;
    if (node.reserved != nullptr && node.reserved != &handle) return SQLITE_BUSY;
    node.pending = &handle;
    if (node.shared > 1) return SQLITE_BUSY;  // keeps PENDING: no new reader comes in
  }
  handle.level = level;
  return SQLITE_OK;
}

int unlock_file(sqlite3_file* file, int level) {
  Handle& handle = handle_of(file);
  const std::lock_guard lock(handle.disk->mutex);
  Node& node = *handle.node;
  if (node.reserved == &handle) node.reserved = nullptr;
  if (node.pending == &handle) node.pending = nullptr;
  if (level == SQLITE_LOCK_NONE && handle.level > SQLITE_LOCK_NONE) --node.shared;
  handle.level = std::min(handle.level, level);
  return SQLITE_OK;
}

int check_reserved(sqlite3_file* file, int* is_reserved) {
  Handle& handle = handle_of(file);
  const std::lock_guard lock(handle.disk->mutex);
  *is_reserved = handle.node->reserved != nullptr ? 1 : 0;
  return SQLITE_OK;
}

// --- shared memory of the log's index
// --------------------------------------------------------------

int map_memory(sqlite3_file* file, int region, int region_bytes, int extend,
               void volatile** mapped) {
  Handle& handle = handle_of(file);
  const std::lock_guard lock(handle.disk->mutex);
  *mapped = nullptr;
  if (is_dead(handle)) return SQLITE_IOERR_SHMMAP;
  SharedMemory& memory = handle.node->memory;
  if (!handle.maps_memory) ++memory.users;
  handle.maps_memory = true;
  const auto index = static_cast<std::size_t>(region);
  if (index >= memory.regions.size() && extend == 0) return SQLITE_OK;
  while (index >= memory.regions.size()) {
    memory.regions.push_back(
        std::make_unique<char[]>(static_cast<std::size_t>(region_bytes)));  // zeros
  }
  *mapped = memory.regions[index].get();
  return SQLITE_OK;
}

int unlock_memory(Handle& handle, unsigned slots) {
  SharedMemory& memory = handle.node->memory;
  for (std::size_t i = 0; i < SQLITE_SHM_NLOCK; ++i) {
    const unsigned slot = 1U << i;
    if ((slots & slot) == 0) continue;
    if ((handle.shared_slots & slot) != 0) --memory.shared[i];
    if ((handle.exclusive_slots & slot) != 0) memory.exclusive[i] = nullptr;
  }
  handle.shared_slots &= ~slots;
  handle.exclusive_slots &= ~slots;
  return SQLITE_OK;
}

int lock_memory(sqlite3_file* file, int offset, int count, int flags) {
  Handle& handle = handle_of(file);
  const std::lock_guard lock(handle.disk->mutex);
  const unsigned slots = ((1U << count) - 1U) << offset;
  if ((flags & SQLITE_SHM_UNLOCK) != 0) return unlock_memory(handle, slots);
  if (is_dead(handle)) return SQLITE_IOERR_SHMLOCK;
  SharedMemory& memory = handle.node->memory;
  const bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
  const auto first = static_cast<std::size_t>(offset);
  for (std::size_t i = first; i < first + static_cast<std::size_t>(count); ++i) {
    const int own = (handle.shared_slots >> i & 1U) != 0 ? 1 : 0;
    if (memory.exclusive[i] != nullptr && memory.exclusive[i] != &handle) return SQLITE_BUSY;
    if (exclusive && memory.shared[i] > own) return SQLITE_BUSY;
  }
  for (std::size_t i = first; i < first + static_cast<std::size_t>(count); ++i) {
    if (exclusive) {
      memory.exclusive[i] = &handle;
      handle.exclusive_slots |= 1U << i;
    } else if ((handle.shared_slots >> i & 1U) == 0) {
      ++memory.shared[i];
      handle.shared_slots |= 1U << i;
    }
  }
  return SQLITE_OK;
}

// A lock and not a fence, which the thread sanitizer does not know.
void memory_barrier(sqlite3_file* file) {
  const std::lock_guard lock(handle_of(file).disk->mutex);
}

int unmap_memory(sqlite3_file* file, int) {
  Handle& handle = handle_of(file);
  const std::lock_guard lock(handle.disk->mutex);
  if (!handle.maps_memory) return SQLITE_OK;
  unlock_memory(handle, ~0U);
  handle.maps_memory = false;
  SharedMemory& memory = handle.node->memory;
  if (--memory.users == 0) memory.regions.clear();
  return SQLITE_OK;
}

int close(sqlite3_file* file) {
  unmap_memory(file, 0);
  unlock_file(file, SQLITE_LOCK_NONE);
  delete static_cast<VfsFile*>(file)->handle;
  return SQLITE_OK;
}

int file_control(sqlite3_file*, int, void*) {
  return SQLITE_NOTFOUND;
}
int sector_size(sqlite3_file*) {
  return 4096;
}
int characteristics(sqlite3_file*) {
  return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

constexpr sqlite3_io_methods kMethods{2,
                                      close,
                                      read,
                                      write,
                                      truncate,
                                      sync,
                                      file_size,
                                      lock_file,
                                      unlock_file,
                                      check_reserved,
                                      file_control,
                                      sector_size,
                                      characteristics,
                                      map_memory,
                                      lock_memory,
                                      memory_barrier,
                                      unmap_memory,
                                      nullptr,
                                      nullptr};

// --- names
// -----------------------------------------------------------------------------------------

Disk& disk_of(sqlite3_vfs* vfs) {
  return *static_cast<Disk*>(vfs->pAppData);
}

int open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  Disk& disk = disk_of(vfs);
  file->pMethods = nullptr;
  const std::lock_guard lock(disk.mutex);
  if (!disk.is_on) return SQLITE_CANTOPEN;
  NodePtr node;
  if (name != nullptr && disk.names.contains(name)) node = disk.names[name];
  if (!node) {
    if ((flags & SQLITE_OPEN_CREATE) == 0 || !disk.may_change()) return SQLITE_CANTOPEN;
    node = std::make_shared<Node>();
    node->is_log = (flags & SQLITE_OPEN_WAL) != 0;
    node->is_journal = node->is_log || (flags & SQLITE_OPEN_MAIN_JOURNAL) != 0;
    if (name != nullptr) disk.names[name] = node;
  }
  auto* handle = new Handle;
  handle->disk = &disk;
  handle->node = node;
  handle->boot = disk.boots;
  static_cast<VfsFile*>(file)->handle = handle;
  file->pMethods = &kMethods;
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

int remove(sqlite3_vfs* vfs, const char* name, int sync_directory) {
  Disk& disk = disk_of(vfs);
  const std::lock_guard lock(disk.mutex);
  if (!disk.is_on || !disk.may_change()) return SQLITE_IOERR_DELETE;
  if (disk.names.erase(name) == 0) return SQLITE_IOERR_DELETE_NOENT;
  if (sync_directory != 0) disk.durable_names = disk.names;
  return SQLITE_OK;
}

int access(sqlite3_vfs* vfs, const char* name, int, int* result) {
  Disk& disk = disk_of(vfs);
  const std::lock_guard lock(disk.mutex);
  if (!disk.is_on) return SQLITE_IOERR_ACCESS;
  *result = disk.names.contains(name) ? 1 : 0;
  return SQLITE_OK;
}

int full_path(sqlite3_vfs*, const char* name, int length, char* out) {
  sqlite3_snprintf(length, out, "%s", name);
  return SQLITE_OK;
}

int randomness(sqlite3_vfs* vfs, int length, char* out) {
  sqlite3_vfs* real = disk_of(vfs).real;
  return real->xRandomness(real, length, out);
}
int sleep(sqlite3_vfs* vfs, int microseconds) {
  sqlite3_vfs* real = disk_of(vfs).real;
  return real->xSleep(real, microseconds);
}
int current_time(sqlite3_vfs* vfs, double* time) {
  sqlite3_vfs* real = disk_of(vfs).real;
  return real->xCurrentTime(real, time);
}
int current_time_64(sqlite3_vfs* vfs, sqlite3_int64* time) {
  sqlite3_vfs* real = disk_of(vfs).real;
  return real->xCurrentTimeInt64(real, time);
}
int last_error(sqlite3_vfs*, int, char*) {
  return 0;
}

}  // namespace

PowerLossVfs::PowerLossVfs() : disk_(std::make_unique<Disk>()) {
  Disk& disk = *disk_;
  disk.real = sqlite3_vfs_find(nullptr);
  disk.vfs.iVersion = 2;
  disk.vfs.szOsFile = sizeof(VfsFile);
  disk.vfs.mxPathname = 1024;
  disk.vfs.zName = "power-loss";
  disk.vfs.pAppData = disk_.get();
  disk.vfs.xOpen = open;
  disk.vfs.xDelete = remove;
  disk.vfs.xAccess = access;
  disk.vfs.xFullPathname = full_path;
  disk.vfs.xRandomness = randomness;
  disk.vfs.xSleep = sleep;
  disk.vfs.xCurrentTime = current_time;
  disk.vfs.xGetLastError = last_error;
  disk.vfs.xCurrentTimeInt64 = current_time_64;
  ASSERT(sqlite3_vfs_register(&disk.vfs, 1) == SQLITE_OK);
}

PowerLossVfs::~PowerLossVfs() {
  sqlite3_vfs_unregister(&disk_->vfs);
  sqlite3_vfs_register(disk_->real, 1);
}

void PowerLossVfs::cut_power(PowerCut cut) {
  const std::lock_guard lock(disk_->mutex);
  disk_->cut(cut);
}

void PowerLossVfs::power_on() {
  const std::lock_guard lock(disk_->mutex);
  disk_->is_on = true;
}

void PowerLossVfs::cut_power_at(std::uint64_t nth_change, PowerCut cut) {
  const std::lock_guard lock(disk_->mutex);
  disk_->cut_at_change = disk_->changes + nth_change;
  disk_->cut_then = cut;
}

std::uint64_t PowerLossVfs::changes() const {
  const std::lock_guard lock(disk_->mutex);
  return disk_->changes;
}

void PowerLossVfs::ignore_log_syncs(bool ignore_them) {
  const std::lock_guard lock(disk_->mutex);
  disk_->ignore_log_syncs = ignore_them;
}

}  // namespace isthmus::test
