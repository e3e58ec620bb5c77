// Frames that were made once, on disk, up to so many bytes: the one that was not asked for longest
// goes first. Losing any of it costs time only, so the cache keeps no rows; what is under a name is
// whole, because it was synced before it got the name.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/env.h"

namespace isthmus::datastore {

// Any thread, many at once.
class FrameCache {
 public:
  // `directory` is made; what an earlier run left in it is taken over, as far as it has room.
  // most_bytes 0: nothing is kept.
  static Result<std::unique_ptr<FrameCache>> open(Env& env, FileSystem::Path directory,
                                                  std::uint64_t most_bytes);

  // Nothing when it is not there. It may be removed while it is read; the bytes stay readable.
  std::unique_ptr<ByteSource> find(const std::string& name);
  // Names are of lower-case hex digits, '-' and letters; at least two characters. A failure to keep
  // it is logged.
  void keep(const std::string& name, ByteSpan bytes);
  std::uint64_t size_bytes() const;

 private:
  struct Entry {
    std::string name;
    std::uint64_t size_bytes = 0;
  };

  FrameCache(Env& env, FileSystem::Path directory, std::uint64_t most_bytes);
  Result<void> take_over();
  Result<void> write(const std::string& name, ByteSpan bytes);
  FileSystem::Path path_of(const std::string& name) const;
  void note(const std::string& name, std::uint64_t size_bytes);
  void forget(const std::string& name);
  void make_room();

  Env& env_;
  const FileSystem::Path directory_;
  const std::uint64_t most_bytes_;
  Counter& hits_;
  Counter& misses_;
  Gauge& bytes_gauge_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // the one asked for last in front
  std::unordered_map<std::string, std::list<Entry>::iterator> by_name_;
  std::uint64_t size_bytes_ = 0;
};

}  // namespace isthmus::datastore
