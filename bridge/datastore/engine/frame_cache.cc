#include "datastore/engine/frame_cache.h"

#include <utility>

namespace isthmus::datastore {
namespace {

constexpr std::string_view kPart = ".part";

}  // namespace

FrameCache::FrameCache(Env& env, FileSystem::Path directory, std::uint64_t most_bytes)
    : env_(env),
      directory_(std::move(directory)),
      most_bytes_(most_bytes),
      hits_(env.metrics.counter("datastore_frame_cache_hits_total",
                                "Image frames served from the cache")),
      misses_(env.metrics.counter("datastore_frame_cache_misses_total",
                                  "Image frames that had to be made")),
      bytes_gauge_(
          env.metrics.gauge("datastore_frame_cache_bytes", "Bytes of image frames in the cache")) {}

Result<std::unique_ptr<FrameCache>> FrameCache::open(Env& env, FileSystem::Path directory,
                                                     std::uint64_t most_bytes) {
  TRY(env.files.create_directories(directory));
  std::unique_ptr<FrameCache> cache(new FrameCache(env, std::move(directory), most_bytes));
  TRY(cache->take_over());
  return cache;
}

Result<void> FrameCache::take_over() {
  TRY_ASSIGN(const std::vector<std::string> folders, env_.files.list(directory_));
  for (const std::string& folder : folders) {
    TRY_ASSIGN(const std::vector<std::string> names, env_.files.list(directory_ / folder));
    for (const std::string& name : names) {
      if (name.ends_with(kPart)) {
        ignore(env_.files.remove(directory_ / folder / name), "swept at the next start");
        continue;
      }
      const auto file = env_.files.open(directory_ / folder / name, FileSystem::Mode::read_only);
      if (!file) continue;
      const Result<std::uint64_t> size = (*file)->size();
      if (size) note(name, *size);
    }
  }
  make_room();
  return {};
}

FileSystem::Path FrameCache::path_of(const std::string& name) const {
  return directory_ / name.substr(0, 2) / name;
}

std::unique_ptr<ByteSource> FrameCache::find(const std::string& name) {
  std::uint64_t size = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) {
      misses_.add();
      return nullptr;
    }
    entries_.splice(entries_.begin(), entries_, found->second);
    size = found->second->size_bytes;
  }
  auto file = env_.files.open(path_of(name), FileSystem::Mode::read_only);
  if (!file) {  // somebody has cleaned up
    forget(name);
    misses_.add();
    return nullptr;
  }
  hits_.add();
  return source_of_file(std::move(file).value(), 0, size);
}

Result<void> FrameCache::write(const std::string& name, ByteSpan bytes) {
  TRY(env_.files.create_directories(path_of(name).parent_path()));
  const FileSystem::Path part = path_of(name + "-" + make_id_text(env_) + std::string(kPart));
  const auto fill = [&]() -> Result<void> {
    TRY_ASSIGN(const auto file, env_.files.open(part, FileSystem::Mode::create_new));
    TRY(file->append(bytes));
    TRY(file->sync());
    return env_.files.rename(part, path_of(name));
  };
  Result<void> filled = fill();
  if (!filled) ignore(env_.files.remove(part), "swept at the next start");
  return filled;
}

void FrameCache::keep(const std::string& name, ByteSpan bytes) {
  if (bytes.size() > most_bytes_) return;
  if (const Result<void> written = write(name, bytes); !written) {
    env_.log.warn("datastore.frame_not_kept", {{"code", written.error().code}});
    return;
  }
  note(name, bytes.size());
  make_room();
}

void FrameCache::note(const std::string& name, std::uint64_t size_bytes) {
  const std::lock_guard lock(mutex_);
  if (by_name_.contains(name)) return;
  entries_.push_front({name, size_bytes});
  by_name_.emplace(name, entries_.begin());
  size_bytes_ += size_bytes;
  bytes_gauge_.set(static_cast<double>(size_bytes_));
}

void FrameCache::forget(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return;
  size_bytes_ -= found->second->size_bytes;
  entries_.erase(found->second);
  by_name_.erase(found);
  bytes_gauge_.set(static_cast<double>(size_bytes_));
}

void FrameCache::make_room() {
  while (true) {
    std::string last;
    {
      const std::lock_guard lock(mutex_);
      if (size_bytes_ <= most_bytes_ || entries_.empty()) return;
      last = entries_.back().name;
    }
    forget(last);
    ignore(env_.files.remove(path_of(last)), "taken over at the next start");
  }
}

std::uint64_t FrameCache::size_bytes() const {
  const std::lock_guard lock(mutex_);
  return size_bytes_;
}

}  // namespace isthmus::datastore
