#include "datastore/engine/blobs.h"

#include <utility>

#include "base/failpoint.h"
#include "base/ids.h"

namespace isthmus::datastore {

BlobPin::BlobPin(BlobPin&& other) noexcept
    : owner_(std::exchange(other.owner_, nullptr)),
      digest_(other.digest_),
      size_bytes_(other.size_bytes_) {}

BlobPin& BlobPin::operator=(BlobPin&& other) noexcept {
  if (this != &other) {
    release();
    owner_ = std::exchange(other.owner_, nullptr);
    digest_ = other.digest_;
    size_bytes_ = other.size_bytes_;
  }
  return *this;
}

void BlobPin::release() {
  if (owner_ != nullptr) std::exchange(owner_, nullptr)->unpin(digest_);
}

BlobWriter::BlobWriter(Blobs& owner, FileSystem::Path part, std::unique_ptr<File> file)
    : owner_(owner), part_(std::move(part)), file_(std::move(file)) {}

BlobWriter::~BlobWriter() {
  if (!part_.empty())
    ignore(owner_.env_.files.remove(part_), "part files are swept at the next start");
}

Result<void> BlobWriter::append(ByteSpan bytes) {
  ASSERT(!digest_);
  TRY(file_->append(bytes));
  hash_.update(bytes);
  size_bytes_ += bytes.size();
  return {};
}

const Digest& BlobWriter::seal() {
  if (!digest_) digest_ = hash_.finish();
  return *digest_;
}

Result<BlobPin> BlobWriter::finish() {
  const Digest digest = seal();
  TRY(file_->sync());
  owner_.pin(digest);
  BlobPin pin(owner_, digest, size_bytes_);
  TRY(owner_.publish(part_, digest));
  part_.clear();
  file_.reset();
  FAILPOINT(datastore_blob_written);
  return pin;
}

Blobs::Blobs(Env& env, const FileSystem::Path& directory)
    : env_(env), blobs_(directory / "blobs"), parts_(directory / "parts") {}

Result<std::unique_ptr<Blobs>> Blobs::open(Env& env, const FileSystem::Path& directory) {
  std::unique_ptr<Blobs> blobs(new Blobs(env, directory));
  TRY(env.files.create_directories(blobs->blobs_));
  TRY(env.files.create_directories(blobs->parts_));
  TRY_ASSIGN(const std::vector<std::string> parts, env.files.list(blobs->parts_));
  for (const std::string& name : parts) {
    ignore(env.files.remove(blobs->parts_ / name), "tried again at the next start");
  }
  return blobs;
}

Result<std::unique_ptr<BlobWriter>> Blobs::begin() {
  FileSystem::Path part = parts_ / (make_id_text(env_) + ".part");
  TRY_ASSIGN(auto file, env_.files.open(part, FileSystem::Mode::create_new));
  return std::make_unique<BlobWriter>(*this, std::move(part), std::move(file));
}

Result<std::unique_ptr<File>> Blobs::scratch() {
  const FileSystem::Path path = parts_ / (make_id_text(env_) + ".scratch");
  TRY_ASSIGN(auto file, env_.files.open(path, FileSystem::Mode::create_new));
  TRY(env_.files.remove(path));
  return file;
}

FileSystem::Path Blobs::path_of(const Digest& digest) const {
  const std::string hex = digest.hex();
  return blobs_ / hex.substr(0, 2) / hex;
}

Result<std::unique_ptr<ByteSource>> Blobs::read(const Digest& digest, std::uint64_t offset,
                                                std::uint64_t length) {
  TRY_ASSIGN(auto file, env_.files.open(path_of(digest), FileSystem::Mode::read_only));
  return source_of_file(std::move(file), offset, length);
}

Result<void> Blobs::make_folder(const Digest& digest) {
  auto& made = folder_made_[std::to_integer<std::size_t>(digest.raw()[0])];
  if (made.load(std::memory_order_acquire)) return {};
  TRY(env_.files.create_directories(path_of(digest).parent_path()));
  made.store(true, std::memory_order_release);
  return {};
}

// Renaming over an equal blob changes nothing: the name is the content.
Result<void> Blobs::publish(const FileSystem::Path& part, const Digest& digest) {
  const FileSystem::Path target = path_of(digest);
  TRY(make_folder(digest));
  TRY(env_.files.rename(part, target));
  const Result<void> synced = env_.files.sync_directory(target.parent_path());
  if (!synced) {
    const Error error = fatal_error("datastore.io", "A folder of blobs cannot be synced (" +
                                                        synced.error().code + "): check the disk.");
    if (env_.on_fatal) env_.on_fatal(error);
    return error;
  }
  return {};
}

void Blobs::pin(const Digest& digest) {
  std::unique_lock lock(mutex_);
  removed_.wait(lock, [&] {
    const auto found = holds_.find(digest);
    return found == holds_.end() || !found->second.removing;
  });
  ++holds_[digest].pins;
}

void Blobs::unpin(const Digest& digest) {
  const std::lock_guard lock(mutex_);
  const auto found = holds_.find(digest);
  ASSERT(found != holds_.end() && found->second.pins > 0);
  if (--found->second.pins == 0) holds_.erase(found);
}

bool Blobs::claim_removal(const Digest& digest) {
  const std::lock_guard lock(mutex_);
  Hold& hold = holds_[digest];
  if (hold.pins > 0 || hold.removing) return false;
  hold.removing = true;
  return true;
}

void Blobs::end_removal(const Digest& digest) {
  {
    const std::lock_guard lock(mutex_);
    holds_.erase(digest);
  }
  removed_.notify_all();
}

Result<void> Blobs::collect(const Digest& digest, const Referenced& referenced) {
  if (!claim_removal(digest)) return {};
  const auto remove = [&]() -> Result<void> {
    TRY_ASSIGN(const bool named, referenced(digest));
    if (named) return {};
    const Result<void> removed = env_.files.remove(path_of(digest));
    if (!removed && removed.error().code != "disk.not_found") return removed.error();
    return {};
  };
  Result<void> result = remove();
  end_removal(digest);
  return result;
}

Result<std::size_t> Blobs::sweep(const Referenced& referenced) {
  std::size_t removed = 0;
  TRY_ASSIGN(const std::vector<std::string> folders, env_.files.list(blobs_));
  for (const std::string& folder : folders) {
    TRY_ASSIGN(const std::vector<std::string> names, env_.files.list(blobs_ / folder));
    for (const std::string& name : names) {
      const std::optional<Digest> digest = Digest::from_hex(name);
      if (!digest) continue;
      TRY(collect(*digest, referenced));
      TRY_ASSIGN(const bool kept, env_.files.exists(path_of(*digest)));
      if (!kept) ++removed;
    }
  }
  return removed;
}

}  // namespace isthmus::datastore
