#include "support/power_loss_files.h"

#include <algorithm>
#include <array>
#include <random>

#include "support/durable_bytes.h"

namespace isthmus::test {
namespace {

constexpr std::uint64_t kTotalBytes = 1024 * GiB;

Error not_found(const FileSystem::Path& path) {
  return permanent_error("disk.not_found", "There is no " + path.filename().string() + ".");
}

// "/a/../b//c" is b, c. By hand: normalizing paths was most of what the fake cost.
std::vector<std::string> names_of(const FileSystem::Path& path) {
  std::vector<std::string> names;
  std::string_view rest = path.native();
  while (!rest.empty()) {
    const std::string_view name = rest.substr(0, rest.find('/'));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    if (name.empty() || name == ".") continue;
    if (name != "..") {
      names.emplace_back(name);
    } else if (!names.empty()) {
      names.pop_back();
    }
  }
  return names;
}

Error power_is_off() {
  return permanent_error("disk.io", "The power is off.");
}

}  // namespace

std::string_view to_string(FileOperation operation) {
  static constexpr std::array<std::string_view, 12> kTexts{
      "open",   "append",         "write_at",           "read_at", "sync", "rename",
      "remove", "sync_directory", "create_directories", "exists",  "list", "space"};
  return kTexts.at(static_cast<std::size_t>(operation));
}

// A file or a directory, as it is and as a power cut would leave it.
struct PowerLossFiles::Node {
  bool is_directory = false;
  // A directory's entries.
  std::map<std::string, NodePtr> entries;
  std::map<std::string, NodePtr> durable_entries;
  DurableBytes bytes;  // a file's
  int links = 0;       // names it has now
};

// One change to directories: an entry appears (to), disappears (from), or both: a rename.
struct PowerLossFiles::EntryChange {
  NodePtr node;
  NodePtr from_directory;
  std::string from_name;
  NodePtr to_directory;
  std::string to_name;

  bool touches(const NodePtr& directory) const {
    return from_directory == directory || to_directory == directory;
  }
  void make_durable() const {
    if (from_directory) {
      const auto entry = from_directory->durable_entries.find(from_name);
      if (entry != from_directory->durable_entries.end() && entry->second == node) {
        from_directory->durable_entries.erase(entry);
      }
    }
    if (to_directory) to_directory->durable_entries[to_name] = node;
  }
};

class PowerLossFile final : public File {
 public:
  PowerLossFile(PowerLossFiles& files, PowerLossFiles::NodePtr node, FileSystem::Path path,
                FileSystem::Mode mode)
      : files_(files),
        node_(std::move(node)),
        path_(std::move(path)),
        writable_(mode != FileSystem::Mode::read_only),
        direct_(mode == FileSystem::Mode::direct),
        boot_(files.boots_) {}

  Result<void> append(ByteSpan bytes) override {
    const std::lock_guard lock(files_.mutex_);
    return write(FileOperation::append, node_->bytes.size(), bytes);
  }

  Result<void> write_at(std::uint64_t offset, ByteSpan bytes) override {
    const std::lock_guard lock(files_.mutex_);
    return write(FileOperation::write_at, static_cast<std::size_t>(offset), bytes);
  }

  Result<std::size_t> read_at(std::uint64_t offset, MutableByteSpan into) const override {
    const std::lock_guard lock(files_.mutex_);
    if (auto error = refuse(FileOperation::read_at, false)) return *error;
    if (direct_ && !is_aligned(offset, into)) return misaligned();
    return node_->bytes.read(static_cast<std::size_t>(offset), into);
  }

  Result<void> sync() override {
    const std::lock_guard lock(files_.mutex_);
    if (auto error = refuse(FileOperation::sync, true)) {
      if (alive()) node_->bytes.forget_unsynced();
      return *error;
    }
    if (!files_.ignore_file_syncs_) node_->bytes.sync();
    files_.done(FileOperation::sync, path_);
    return {};
  }

  Result<std::uint64_t> size() const override {
    const std::lock_guard lock(files_.mutex_);
    if (!alive()) return power_is_off();
    return static_cast<std::uint64_t>(node_->bytes.size());
  }

 private:
  using Node = PowerLossFiles::Node;

  bool alive() const { return files_.on_ && files_.boots_ == boot_; }

  std::optional<Error> refuse(FileOperation operation, bool changes) const {
    if (!alive()) return power_is_off();
    return files_.refuse(operation, changes);
  }

  // As a disk that is written past the page cache asks for it.
  static bool is_aligned(std::uint64_t offset, ByteSpan bytes) {
    return offset % kDirectAlignment == 0 && bytes.size() % kDirectAlignment == 0 &&
           reinterpret_cast<std::uintptr_t>(bytes.data()) % kDirectAlignment == 0;
  }
  static Error misaligned() {
    return permanent_error("disk.io", "A direct access was not aligned.");
  }

  Result<void> write(FileOperation operation, std::size_t offset, ByteSpan bytes) {
    if (auto error = refuse(operation, true)) return *error;
    if (!writable_) return permanent_error("disk.io", "The file was opened for reading only.");
    if (direct_ && !is_aligned(offset, bytes)) return misaligned();
    const std::size_t old_size = node_->bytes.size();
    std::size_t length = bytes.size();
    const std::size_t growth =
        offset + length > old_size ? offset + length - old_size : std::size_t{0};
    const bool is_full = growth > files_.free_bytes_;
    if (is_full) length -= std::min(length, growth - static_cast<std::size_t>(files_.free_bytes_));
    const std::size_t end = offset + length;
    if (end > old_size) files_.free_bytes_ -= end - old_size;
    node_->bytes.write(offset, bytes.first(length));
    files_.largest_write_bytes_ = std::max(files_.largest_write_bytes_, length);
    if (is_full) return transient_error("disk.full", "The disk is full.");
    files_.done(operation, path_);
    return {};
  }

  PowerLossFiles& files_;
  const PowerLossFiles::NodePtr node_;
  const FileSystem::Path path_;
  const bool writable_;
  const bool direct_;
  const std::uint64_t boot_;
};

PowerLossFiles::PowerLossFiles() : root_(std::make_shared<Node>()), free_bytes_(kTotalBytes) {
  root_->is_directory = true;
}
PowerLossFiles::~PowerLossFiles() = default;

Error PowerLossFiles::disk_io_error() {
  return permanent_error("disk.io", "The disk failed on demand of the test.");
}

// --- the FileSystem
// --------------------------------------------------------------------------------

Result<std::unique_ptr<File>> PowerLossFiles::open(const Path& path, Mode mode) {
  const std::lock_guard lock(mutex_);
  NodePtr node = find(path);
  const bool creates = !node && mode != Mode::read_only && mode != Mode::direct;
  if (auto error = refuse(FileOperation::open, creates)) return *error;
  if (node && mode == Mode::create_new) {
    return permanent_error("disk.exists", "There is a " + path.filename().string() + " already.");
  }
  if (node && node->is_directory) return permanent_error("disk.io", "A directory is no file.");
  if (!node) {
    const NodePtr directory = parent_of(path);
    if (!creates || !directory) return not_found(path);
    node = std::make_shared<Node>();
    change_entry({node, nullptr, {}, directory, path.filename().string()});
  }
  done(FileOperation::open, path);
  return std::unique_ptr<File>(std::make_unique<PowerLossFile>(*this, node, path, mode));
}

Result<void> PowerLossFiles::rename(const Path& from, const Path& to) {
  const std::lock_guard lock(mutex_);
  if (auto error = refuse(FileOperation::rename, true)) return *error;
  const NodePtr node = find(from);
  const NodePtr target = parent_of(to);
  if (!node || !target) return not_found(node ? to : from);
  change_entry({node, parent_of(from), from.filename().string(), target, to.filename().string()});
  done(FileOperation::rename, from, to);
  return {};
}

Result<void> PowerLossFiles::remove(const Path& path) {
  const std::lock_guard lock(mutex_);
  if (auto error = refuse(FileOperation::remove, true)) return *error;
  const NodePtr node = find(path);
  if (!node) return not_found(path);
  if (node->is_directory) return permanent_error("disk.io", "A directory is no file.");
  change_entry({node, parent_of(path), path.filename().string(), nullptr, {}});
  done(FileOperation::remove, path);
  return {};
}

Result<void> PowerLossFiles::sync_directory(const Path& directory) {
  const std::lock_guard lock(mutex_);
  const NodePtr node = find(directory);
  const auto error = refuse(FileOperation::sync_directory, true);
  if (!on_) return *error;
  if (!error && (!node || !node->is_directory)) return not_found(directory);
  if (error || !ignore_directory_syncs_) {
    std::vector<EntryChange> rest;
    for (EntryChange& change : pending_) {
      if (!node || !change.touches(node)) {
        rest.push_back(std::move(change));
        continue;
      }
      if (error) continue;  // dropped: never on disk
      // A rename out of another directory takes the entry's own, still pending creation with it.
      std::erase_if(rest, [&](const EntryChange& earlier) {
        return change.from_directory && earlier.to_directory == change.from_directory &&
               earlier.to_name == change.from_name && earlier.node == change.node;
      });
      change.make_durable();
    }
    pending_ = std::move(rest);
  }
  if (error) return *error;
  done(FileOperation::sync_directory, directory);
  return {};
}

Result<void> PowerLossFiles::create_directories(const Path& directory) {
  const std::lock_guard lock(mutex_);
  if (auto error = refuse(FileOperation::create_directories, true)) return *error;
  NodePtr node = root_;
  for (const std::string& name : names_of(directory)) {
    NodePtr& entry = node->entries[name];
    if (!entry) {
      entry = std::make_shared<Node>();
      entry->is_directory = true;
      entry->links = 1;
      node->durable_entries[name] = entry;
    }
    if (!entry->is_directory) return permanent_error("disk.exists", "A file stands in the way.");
    node = entry;
  }
  done(FileOperation::create_directories, directory);
  return {};
}

Result<bool> PowerLossFiles::exists(const Path& path) {
  const std::lock_guard lock(mutex_);
  if (auto error = refuse(FileOperation::exists, false)) return *error;
  done(FileOperation::exists, path);
  return find(path) != nullptr;
}

Result<std::vector<std::string>> PowerLossFiles::list(const Path& directory) {
  const std::lock_guard lock(mutex_);
  if (auto error = refuse(FileOperation::list, false)) return *error;
  const NodePtr node = find(directory);
  if (!node || !node->is_directory) return not_found(directory);
  std::vector<std::string> names;
  for (const auto& [name, entry] : node->entries) names.push_back(name);
  done(FileOperation::list, directory);
  return names;
}

Result<SpaceInfo> PowerLossFiles::space(const Path& directory) {
  const std::lock_guard lock(mutex_);
  if (auto error = refuse(FileOperation::space, false)) return *error;
  if (!find(directory)) return not_found(directory);
  done(FileOperation::space, directory);
  return SpaceInfo{kTotalBytes, free_bytes_};
}

// --- power
// -----------------------------------------------------------------------------------------

void PowerLossFiles::cut_power(PowerCut cut_now) {
  const std::lock_guard lock(mutex_);
  cut(cut_now);
}

void PowerLossFiles::power_on() {
  const std::lock_guard lock(mutex_);
  on_ = true;
}

bool PowerLossFiles::is_on() const {
  const std::lock_guard lock(mutex_);
  return on_;
}

void PowerLossFiles::cut_power_at(std::uint64_t nth_change, PowerCut cut_later) {
  const std::lock_guard lock(mutex_);
  cut_at_change_ = changes_ + nth_change;
  cut_then_ = cut_later;
}

std::uint64_t PowerLossFiles::changes() const {
  const std::lock_guard lock(mutex_);
  return changes_;
}

void PowerLossFiles::cut(PowerCut cut_now) {
  if (!on_) return;
  on_ = false;
  ++boots_;
  cut_at_change_.reset();
  faults_.clear();
  std::mt19937_64 random(cut_now.keep_some_seed.value_or(0));
  if (cut_now.keep_some_seed) {
    for (const EntryChange& change : pending_) {
      if (random() % 2 == 0) change.make_durable();
    }
  }
  pending_.clear();
  std::vector<NodePtr> directories{root_};
  while (!directories.empty()) {
    const NodePtr directory = directories.back();
    directories.pop_back();
    directory->entries = directory->durable_entries;
    for (auto& [name, node] : directory->entries) {
      node->links = 1;
      if (node->is_directory) {
        directories.push_back(node);
        continue;
      }
      free_bytes_ += node->bytes.size();
      if (cut_now.keep_some_seed) {
        node->bytes.tear(random);
      } else {
        node->bytes.fall_back();
      }
      free_bytes_ -= std::min<std::uint64_t>(free_bytes_, node->bytes.size());
    }
  }
}

// --- faults
// ----------------------------------------------------------------------------------------

void PowerLossFiles::fail_next(FileOperation operation, Error error, std::size_t skip) {
  const std::lock_guard lock(mutex_);
  faults_.insert_or_assign(operation, Fault{std::move(error), skip});
}

void PowerLossFiles::set_free_bytes(std::uint64_t free_bytes) {
  const std::lock_guard lock(mutex_);
  free_bytes_ = free_bytes;
}

void PowerLossFiles::ignore_file_syncs(bool ignore_them) {
  const std::lock_guard lock(mutex_);
  ignore_file_syncs_ = ignore_them;
}

void PowerLossFiles::ignore_directory_syncs(bool ignore_them) {
  const std::lock_guard lock(mutex_);
  ignore_directory_syncs_ = ignore_them;
}

std::vector<LoggedOperation> PowerLossFiles::operations() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

std::size_t PowerLossFiles::count(FileOperation operation) const {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(operation);
  return found == counts_.end() ? 0 : found->second;
}

void PowerLossFiles::forget_operations() {
  const std::lock_guard lock(mutex_);
  log_.clear();
  counts_.clear();
}

std::size_t PowerLossFiles::largest_write_bytes() const {
  const std::lock_guard lock(mutex_);
  return largest_write_bytes_;
}

// --- inside
// ----------------------------------------------------------------------------------------

std::optional<Error> PowerLossFiles::refuse(FileOperation operation, bool changes) {
  if (!on_) return power_is_off();
  if (changes) {
    ++changes_;
    if (cut_at_change_ && changes_ >= *cut_at_change_) {
      cut(cut_then_);
      return power_is_off();
    }
  }
  const auto fault = faults_.find(operation);
  if (fault == faults_.end()) return std::nullopt;
  if (fault->second.skip > 0) {
    --fault->second.skip;
    return std::nullopt;
  }
  Error error = std::move(fault->second.error);
  faults_.erase(fault);
  return error;
}

void PowerLossFiles::done(FileOperation operation, const Path& path, const Path& target) {
  ++counts_[operation];
  log_.push_back({operation, path, target});
}

PowerLossFiles::NodePtr PowerLossFiles::find(const Path& path) const {
  NodePtr node = root_;
  for (const std::string& name : names_of(path)) {
    const auto entry = node->entries.find(name);
    if (entry == node->entries.end()) return nullptr;
    node = entry->second;
  }
  return node;
}

PowerLossFiles::NodePtr PowerLossFiles::parent_of(const Path& path) const {
  NodePtr directory = find(path.parent_path());
  return directory && directory->is_directory ? directory : nullptr;
}

// Takes effect at once for whoever looks, and waits for its directory's sync to survive.
void PowerLossFiles::change_entry(EntryChange change) {
  if (change.from_directory) {
    change.from_directory->entries.erase(change.from_name);
    --change.node->links;
  }
  if (change.to_directory) {
    NodePtr& entry = change.to_directory->entries[change.to_name];
    if (entry && entry != change.node) {
      --entry->links;
      release(entry);
    }
    entry = change.node;
    ++change.node->links;
  }
  release(change.node);
  pending_.push_back(std::move(change));
}

// Gives a file's space back once nothing names it. (Its bytes stay: the cut may bring the name
// back.)
void PowerLossFiles::release(const NodePtr& node) {
  if (node->links == 0) free_bytes_ += node->bytes.size();
}

}  // namespace isthmus::test
