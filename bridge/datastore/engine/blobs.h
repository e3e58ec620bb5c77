// Blobs: immutable files named by their SHA-256. Everything whose bytes the data store keeps
// (objects, parts of multipart uploads, imported instances) is a blob that rows of the catalogue
// refer to.
//
// A blob is durable before a row may name it: part file, sync, rename, sync of the directory. One
// that no row names is garbage; it is removed when its last row goes, and what a crash left is
// swept at the next start. Between "durable" and "a row names it" a pin keeps it from being taken
// for garbage.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "base/digest.h"
#include "base/env.h"

namespace isthmus::datastore {

class Blobs;

// Keeps one blob from being removed. Moved, not copied; let go of after the row is committed.
class BlobPin {
 public:
  BlobPin() = default;
  BlobPin(Blobs& owner, const Digest& digest, std::uint64_t size_bytes)
      : owner_(&owner), digest_(digest), size_bytes_(size_bytes) {}
  ~BlobPin() { release(); }
  BlobPin(BlobPin&& other) noexcept;
  BlobPin& operator=(BlobPin&& other) noexcept;

  const Digest& digest() const { return digest_; }
  std::uint64_t size_bytes() const { return size_bytes_; }

 private:
  void release();

  Blobs* owner_ = nullptr;
  Digest digest_;
  std::uint64_t size_bytes_ = 0;
};

// A blob that is being written. Destroyed without finish(), it leaves nothing behind. One thread.
class BlobWriter {
 public:
  BlobWriter(Blobs& owner, FileSystem::Path part, std::unique_ptr<File> file);
  ~BlobWriter();
  BlobWriter(const BlobWriter&) = delete;
  BlobWriter& operator=(const BlobWriter&) = delete;

  // "disk.full" (transient) when there is no space, "disk.io".
  Result<void> append(ByteSpan bytes);
  std::uint64_t size_bytes() const { return size_bytes_; }
  // The digest of everything appended; nothing may be appended any more. For checks before
  // finish().
  const Digest& seal();
  // Durable and under its name when this returns. A directory that cannot be synced is
  // "datastore.io" (fatal); anything else gives this blob up and may be tried again.
  Result<BlobPin> finish();

 private:
  Blobs& owner_;
  FileSystem::Path part_;
  std::unique_ptr<File> file_;
  Sha256 hash_;
  std::optional<Digest> digest_;
  std::uint64_t size_bytes_ = 0;
};

// Any thread, many at once.
class Blobs {
 public:
  // Asked before a blob is removed; true when a row names it.
  using Referenced = std::function<Result<bool>(const Digest&)>;

  // Makes `directory`/blobs and `directory`/parts. Part files of an earlier run are removed: nobody
  // was told anything about them.
  static Result<std::unique_ptr<Blobs>> open(Env& env, const FileSystem::Path& directory);

  Result<std::unique_ptr<BlobWriter>> begin();
  // `length` bytes from `offset` of a blob. It may be removed while it is read; the bytes stay
  // readable.
  Result<std::unique_ptr<ByteSource>> read(const Digest& digest, std::uint64_t offset,
                                           std::uint64_t length);
  // Where the worker processes read it.
  FileSystem::Path path_of(const Digest& digest) const;
  // A file for passing use that has no name any more: gone with the object, or with the process.
  Result<std::unique_ptr<File>> scratch();

  // Removes the blob unless it is pinned or referenced. Not an error when it is not there.
  Result<void> collect(const Digest& digest, const Referenced& referenced);
  // The same for every blob there is; how many were removed.
  Result<std::size_t> sweep(const Referenced& referenced);

 private:
  friend class BlobPin;
  friend class BlobWriter;
  struct Hold {
    std::size_t pins = 0;
    bool removing = false;
  };

  Blobs(Env& env, const FileSystem::Path& directory);
  Result<void> publish(const FileSystem::Path& part, const Digest& digest);
  Result<void> make_folder(const Digest& digest);
  void pin(const Digest& digest);
  void unpin(const Digest& digest);
  bool claim_removal(const Digest& digest);
  void end_removal(const Digest& digest);

  Env& env_;
  const FileSystem::Path blobs_, parts_;
  std::array<std::atomic<bool>, 256> folder_made_{};
  std::mutex mutex_;
  std::condition_variable removed_;
  std::map<Digest, Hold> holds_;
};

}  // namespace isthmus::datastore
