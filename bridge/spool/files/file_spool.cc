// A spool of one file per instance.
//
// What has to be on disk before anyone is told "stored", in this order: the bytes (sync of the part
// file, by the receiver's own thread, so that many run side by side), the name (rename), the
// directory entry (sync of the folder, once for all of a group commit), the row. A crash in between
// leaves bytes that nobody was promised; recover() discards them.
#include "spool/files/file_spool.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "base/digest.h"
#include "base/failpoint.h"
#include "ledger/spool_rows.h"
#include "model/layout.h"
#include "spool/admission.h"
#include "spool/spool.h"

namespace isthmus {
namespace {

using Path = FileSystem::Path;

// Writes are this large at least (the last one aside): small instances are one write, and 64
// associations hold 16 MiB together.
constexpr std::size_t kPieceBytes = 256 * KiB;
// A large instance is synced on the way, so that the answer to a 2 GB one does not wait for 2 GB,
// and its dirty pages do not push everything else out of memory.
constexpr std::uint64_t kSyncEveryBytes = 64 * MiB;
// More whole files without a row than any crash leaves behind (as many as were being received).
constexpr std::size_t kMostUnclaimed = 1024;

// The disk's error for one part file, as the receiver gets it: the part is given up, a new attempt
// may do better.
Error write_error(Error error, Admission& admission) {
  if (error.code == "disk.full") {
    admission.refresh();
    return transient_error("spool.full", "The spool's disk is full: free space on it.");
  }
  return transient_error("spool.io", "A spool file could not be written (" + error.message +
                                         "): see whether the disk is failing.");
}

Error read_error(const Error& error) {
  return transient_error("spool.io", "A spool file could not be read or removed (" + error.message +
                                         "): see whether the disk is failing.");
}

// One of the spool's folders; the group commit syncs it once for all who wait with it.
class Folder : public Durable {
 public:
  Folder(Env& env, Path path, Admission& admission)
      : env_(env), path_(std::move(path)), admission_(admission) {}

  const Path& path() const { return path_; }

  // A folder's sync that failed is not repeated: the kernel may have dropped what it did not write,
  // and would say "fine" the second time. So nothing in this process trusts the folder any more.
  Result<void> make_durable() override {
    if (failed_.load(std::memory_order_acquire)) return failure();
    const Result<void> synced = env_.files.sync_directory(path_);
    if (synced.ok()) return {};
    if (synced.error().code == "disk.full") return write_error(synced.error(), admission_);
    failed_.store(true, std::memory_order_release);
    env_.log.error("spool.directory_sync_failed", {{"message", synced.error().message}});
    admission_.close(AdmissionState::failed);
    env_.on_fatal(failure());
    return failure();
  }

 private:
  static Error failure() {
    return fatal_error("spool.directory_sync_failed",
                       "The spool's directory could not be synced: check the disk, then restart.");
  }

  Env& env_;
  const Path path_;
  Admission& admission_;
  std::atomic<bool> failed_{false};
};

class FileSpool : public FilesBeside {
 public:
  FileSpool(Env& env, Path directory, Ledger& ledger, Admission& admission);

  Result<void> create_folders();

  Result<std::unique_ptr<IncomingInstance>> begin(const Origin& origin) override;
  std::unique_ptr<IncomingInstance> take_over(InstanceId id, const Origin& origin) override;
  Result<std::unique_ptr<ByteSource>> open(const SpoolRef& ref) override;
  Result<void> free(const SpoolRef& ref) override;
  Result<std::size_t> recover() override;
  Result<void> catch_up() override { return {}; }
  Result<std::uint64_t> used_bytes() override {
    return used_bytes_.load(std::memory_order_relaxed);
  }

 private:
  friend class IncomingFile;

  struct Place {
    Folder& folder;
    Path path;
  };
  // Nothing for a text that this spool never made.
  std::optional<Place> place_of(const SpoolRef& ref);
  Folder& folder_of(std::string_view relative_name);
  // What recover() found in one folder: what nobody was promised, and the size of the rest.
  struct Findings {
    std::vector<Path> parts;
    std::vector<Path> unclaimed;
    std::uint64_t held_bytes = 0;
  };
  Result<void> examine(Folder& folder, Findings& findings);
  Result<std::uint64_t> size_of(const Path& path);

  Env& env_;
  const Path directory_;
  Ledger& ledger_;
  Admission& admission_;
  Counter& begun_;
  std::array<std::unique_ptr<Folder>, layout::kSpoolFolders> folders_;
  std::atomic<std::uint64_t> used_bytes_{0};
};

class IncomingFile : public IncomingInstance {
 public:
  IncomingFile(FileSpool& spool, InstanceId id, Origin origin)
      : spool_(spool),
        id_(std::move(id)),
        origin_(std::move(origin)),
        part_(spool.directory_ / layout::spool_part(id_)),
        final_(spool.directory_ / layout::spool_file(id_)) {}

  ~IncomingFile() override {
    if (!concluded_) drop();
    spool_.admission_.in_flight(-static_cast<std::int64_t>(size_bytes_));
  }

  const InstanceId& id() const override { return id_; }

  Result<void> append(ByteSpan bytes) override {
    ASSERT(!concluded_);
    if (given_up_) return *given_up_;
    file_digest_.update(bytes);
    if (dataset_begins_at_) dataset_digest_.update(bytes);
    size_bytes_ += bytes.size();
    spool_.admission_.in_flight(static_cast<std::int64_t>(bytes.size()));
    while (!bytes.empty()) {
      // Large appends go to the file as they are, small ones are gathered into whole pieces.
      if (pending_.empty() && bytes.size() >= kPieceBytes) return write(bytes);
      const ByteSpan fits = bytes.first(std::min(bytes.size(), kPieceBytes - pending_.size()));
      pending_.insert(pending_.end(), fits.begin(), fits.end());
      bytes = bytes.subspan(fits.size());
      if (pending_.size() == kPieceBytes) TRY(write_pending());
    }
    return {};
  }

  void dataset_begins() override {
    ASSERT(!dataset_begins_at_);
    dataset_begins_at_ = size_bytes_;
  }

  Result<Receipt> commit(const Identified& identified) override {
    ASSERT(!concluded_);
    if (given_up_) return *given_up_;
    if (!dataset_begins_at_ || identified.dataset_offset_bytes != *dataset_begins_at_) {
      return give_up(permanent_error("spool.dataset_offset",
                                     "The data set does not begin where the receiver said."));
    }
    TRY(write_pending());
    TRY(settle_file());
    const Result<Receipt> receipt =
        spool_.ledger_.record(arrival(identified), &spool_.folder_of(layout::spool_file(id_)));
    conclude(receipt);
    return receipt;
  }

 private:
  Result<void> write_pending() {
    TRY(write(pending_));
    pending_.clear();
    return {};
  }

  Result<void> write(ByteSpan bytes) {
    if (auto go_on = spool_.admission_.check_continue(); !go_on.ok()) {
      return give_up(std::move(go_on).error());
    }
    if (!file_) TRY(create_file());
    if (auto written = file_->append(bytes); !written.ok()) {
      return give_up(write_error(std::move(written).error(), spool_.admission_));
    }
    unsynced_bytes_ += bytes.size();
    return unsynced_bytes_ >= kSyncEveryBytes ? sync_file() : Result<void>{};
  }

  // Not before there is something to write: what is refused by its first bytes never touches the
  // disk.
  Result<void> create_file() {
    auto file = spool_.env_.files.open(part_, FileSystem::Mode::create_new);
    if (!file.ok()) return give_up(write_error(std::move(file).error(), spool_.admission_));
    file_ = std::move(file).value();
    FAILPOINT(spool_begun);
    return {};
  }

  // A failed sync is never repeated; only this part is concerned.
  Result<void> sync_file() {
    unsynced_bytes_ = 0;
    if (auto synced = file_->sync(); !synced.ok()) {
      return give_up(write_error(std::move(synced).error(), spool_.admission_));
    }
    return {};
  }

  // All bytes durable, under the final name.
  Result<void> settle_file() {
    FAILPOINT(spool_bytes_written);
    TRY(sync_file());
    FAILPOINT(spool_file_synced);
    file_.reset();
    is_renamed_ = true;  // even if it fails: both names are dropped then
    if (auto renamed = spool_.env_.files.rename(part_, final_); !renamed.ok()) {
      return give_up(write_error(std::move(renamed).error(), spool_.admission_));
    }
    FAILPOINT(spool_renamed);
    return {};
  }

  Arrival arrival(const Identified& identified) {
    Arrival arrival;
    arrival.id = id_;
    arrival.identity = identified.identity;
    arrival.origin = identified.origin.value_or(origin_);
    arrival.transfer_syntax_uid = identified.transfer_syntax_uid;
    arrival.size_bytes = size_bytes_;
    arrival.dataset_offset_bytes = *dataset_begins_at_;
    arrival.dataset_digest = dataset_digest_.finish();
    arrival.file_digest = file_digest_.finish();
    arrival.spool_ref = {layout::spool_file(id_)};
    arrival.received_at = spool_.env_.clock.wall_now();
    arrival.destinations = identified.destinations;
    return arrival;
  }

  // After the ledger's answer the bytes belong to a row, or to nobody, or (a fatal error: the
  // COMMIT may or may not be on disk) to whom recover() finds after the restart. Only what surely
  // has no row is removed: a row without bytes would answer the sender's next attempt with "known".
  void conclude(const Result<Receipt>& receipt) {
    concluded_ = true;
    if (receipt.ok()) {
      if (receipt->known && !receipt->bytes_taken) {
        drop();
      } else {
        spool_.used_bytes_.fetch_add(size_bytes_, std::memory_order_relaxed);
      }
      return;
    }
    if (receipt.error().fate == Fate::fatal) return;
    const Result<bool> has_row = spool_.ledger_.spool_rows().names({layout::spool_file(id_)});
    if (has_row.ok() && !*has_row) drop();
  }

  Error give_up(Error error) {
    given_up_ = std::move(error);
    drop();
    return *given_up_;
  }

  void drop() {
    if (!file_ && !is_renamed_) return;
    file_.reset();
    const char* const why = "nobody was promised these bytes: what is left is swept at start-up";
    ignore(spool_.env_.files.remove(part_), why);
    if (is_renamed_) ignore(spool_.env_.files.remove(final_), why);
    is_renamed_ = false;
  }

  FileSpool& spool_;
  const InstanceId id_;
  const Origin origin_;
  const Path part_;
  const Path final_;
  std::unique_ptr<File> file_;
  Bytes pending_;
  std::uint64_t size_bytes_ = 0;
  std::uint64_t unsynced_bytes_ = 0;
  std::optional<std::uint64_t> dataset_begins_at_;
  Sha256 file_digest_;
  Sha256 dataset_digest_;
  std::optional<Error> given_up_;
  bool is_renamed_ = false;
  bool concluded_ = false;
};

FileSpool::FileSpool(Env& env, Path directory, Ledger& ledger, Admission& admission)
    : env_(env),
      directory_(std::move(directory)),
      ledger_(ledger),
      admission_(admission),
      begun_(env.metrics.counter("spool_instances_begun_total",
                                 "Instances that receivers began to receive.")) {
  for (std::size_t i = 0; i < folders_.size(); ++i) {
    folders_[i] = std::make_unique<Folder>(env, directory_ / layout::spool_folder(i), admission);
  }
}

Result<void> FileSpool::create_folders() {
  for (const auto& folder : folders_) TRY(env_.files.create_directories(folder->path()));
  // A folder may be there from a process that died between making and syncing it.
  return env_.files.sync_directory(directory_);
}

Result<std::unique_ptr<IncomingInstance>> FileSpool::begin(const Origin& origin) {
  TRY(admission_.check());
  begun_.add();
  return std::unique_ptr<IncomingInstance>(
      std::make_unique<IncomingFile>(*this, InstanceId::make(env_), origin));
}

std::unique_ptr<IncomingInstance> FileSpool::take_over(InstanceId id, const Origin& origin) {
  return std::make_unique<IncomingFile>(*this, std::move(id), origin);
}

Result<std::unique_ptr<ByteSource>> FileSpool::open(const SpoolRef& ref) {
  const auto place = place_of(ref);
  if (!place) {
    return permanent_error("spool.not_found", "The spool never made such a reference.");
  }
  auto file = env_.files.open(place->path, FileSystem::Mode::read_only);
  if (!file.ok()) {
    if (file.error().code == "disk.not_found") {
      return permanent_error("spool.not_found", "The instance's bytes are not in the spool.");
    }
    return read_error(file.error());
  }
  const Result<std::uint64_t> size = (*file)->size();
  if (!size.ok()) return read_error(size.error());
  return source_of_file(std::move(file).value(), 0, *size);
}

Result<void> FileSpool::free(const SpoolRef& ref) {
  const auto place = place_of(ref);
  if (!place) return {};
  const Result<std::uint64_t> size = size_of(place->path);
  if (const auto removed = env_.files.remove(place->path); removed.ok()) {
    const std::uint64_t held = used_bytes_.load(std::memory_order_relaxed);
    used_bytes_.fetch_sub(std::min(held, size.ok() ? *size : 0), std::memory_order_relaxed);
  } else if (removed.error().code != "disk.not_found") {
    return read_error(removed.error());
  }
  // Also when it was gone: the process that removed it may have died before its sync.
  return place->folder.make_durable();
}

Result<std::size_t> FileSpool::recover() {
  Findings findings;
  for (const auto& folder : folders_) TRY(examine(*folder, findings));
  if (findings.unclaimed.size() > kMostUnclaimed) {
    return permanent_error(
        "spool.unclaimed",
        "The spool holds " + std::to_string(findings.unclaimed.size()) +
            " whole files that the ledger does not know, more than a crash leaves: check that the "
            "ledger is this spool's; to give the files up, move them out of the spool.");
  }
  std::vector<Path> discard = std::move(findings.parts);
  discard.insert(discard.end(), findings.unclaimed.begin(), findings.unclaimed.end());
  for (const Path& path : discard) TRY(env_.files.remove(path));
  used_bytes_.store(findings.held_bytes, std::memory_order_relaxed);
  env_.log.info("spool.recovered",
                {{"discarded", discard.size()}, {"held_bytes", findings.held_bytes}});
  return discard.size();
}

Result<void> FileSpool::examine(Folder& folder, Findings& findings) {
  TRY_ASSIGN(const std::vector<std::string> names, env_.files.list(folder.path()));
  for (const std::string& name : names) {
    const auto instance = layout::instance_of_spool_name(name);
    if (!instance) {
      env_.log.warn("spool.stranger", {{"folder", folder.path().filename().string()}});
      continue;
    }
    if (name.ends_with(layout::kSpoolPartSuffix)) {
      findings.parts.push_back(folder.path() / name);
      continue;
    }
    TRY_ASSIGN(const bool has_row, ledger_.spool_rows().names({layout::spool_file(*instance)}));
    if (!has_row) {
      findings.unclaimed.push_back(folder.path() / name);
      continue;
    }
    TRY_ASSIGN(const std::uint64_t size, size_of(folder.path() / name));
    findings.held_bytes += size;
  }
  return {};
}

Result<std::uint64_t> FileSpool::size_of(const Path& path) {
  TRY_ASSIGN(const std::unique_ptr<File> file, env_.files.open(path, FileSystem::Mode::read_only));
  return file->size();
}

std::optional<FileSpool::Place> FileSpool::place_of(const SpoolRef& ref) {
  const auto slash = ref.text.find('/');
  if (slash == std::string::npos) return std::nullopt;
  const std::string_view name = std::string_view(ref.text).substr(slash + 1);
  const auto instance = layout::instance_of_spool_name(name);
  if (!instance || layout::spool_file(*instance) != ref.text) return std::nullopt;
  return Place{folder_of(ref.text), directory_ / ref.text};
}

// `relative_name` is one that layout made.
Folder& FileSpool::folder_of(std::string_view relative_name) {
  const auto digit = [](char c) {
    return static_cast<std::size_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  };
  return *folders_[digit(relative_name[0]) * 16 + digit(relative_name[1])];
}

}  // namespace

Result<std::unique_ptr<FilesBeside>> open_files_beside(Env& env, FileSystem::Path directory,
                                                       Ledger& ledger, Admission& admission) {
  auto spool = std::make_unique<FileSpool>(env, std::move(directory), ledger, admission);
  TRY(spool->create_folders());
  admission.refresh();
  return std::unique_ptr<FilesBeside>(std::move(spool));
}

Result<std::unique_ptr<Spool>> open_file_spool(Env& env, FileSystem::Path directory, Ledger& ledger,
                                               Admission& admission) {
  TRY_ASSIGN(auto spool, open_files_beside(env, std::move(directory), ledger, admission));
  return std::unique_ptr<Spool>(std::move(spool));
}

}  // namespace isthmus
