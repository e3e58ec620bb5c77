// One segment in use: where in it records lie that are still needed, and one sync for all who wait
// for it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/env.h"
#include "spool/segments/format.h"

namespace isthmus::segments {

enum class SegmentState {
  ready,    // has its header for the next life, no record
  current,  // records are appended
  sealed,   // no record is appended any more; some are needed
  idle,     // nothing in it is needed: may be put to use again
  damaged,  // its headers cannot be read, or it refused a write: kept as it is for a person
};

class Segment {
 public:
  Segment(SegmentHeader header, FileSystem::Path path)
      : header_(header), path_(std::move(path)), live_(blocks(), false) {}

  const SegmentHeader& header() const { return header_; }
  const FileSystem::Path& path() const { return path_; }

  // --- syncing: any thread --------------------------------------------------------------------
  void use(std::shared_ptr<File> file) { file_ = std::move(file); }
  const std::shared_ptr<File>& file() const { return file_; }
  // Everything that this thread wrote before the call survives a power cut. Those who wait at the
  // same time share one sync, made by one of them; no delay is added. After a sync that failed
  // nobody is told anything but its error, and it is not repeated. `on_sync` counts.
  Result<void> make_durable(Counter& syncs);
  // Callers of make_durable() that are not answered yet.
  std::uint64_t waiting() const;

  // --- what follows is guarded by the lock of the segments that it belongs to -----------------
  SegmentState state = SegmentState::idle;
  std::uint64_t cursor = kFirstRecordOffset;  // where the next record goes
  std::size_t writers = 0;                    // slots given out, not concluded
  std::size_t readers = 0;
  SteadyTime changed_at{};  // when a record was last freed, or it was sealed
  bool is_poor = false;     // compaction met something that it could not copy

  std::uint64_t room() const { return header_.size_bytes - cursor; }
  bool is_live(std::size_t block) const { return block < live_.size() && live_[block]; }
  void keep(const Place& place);
  // False when it was not kept.
  bool release(const Place& place);
  std::size_t live_records() const { return live_records_; }
  std::uint64_t live_bytes() const { return live_bytes_; }
  // The next life: nothing of the one before is needed.
  void begin_life(const SegmentHeader& header);
  // References name a generation that the damaged headers do not tell.
  void assume_generation(std::uint64_t generation) { header_.generation = generation; }

 private:
  std::size_t blocks() const { return static_cast<std::size_t>(header_.size_bytes / kBlockBytes); }

  SegmentHeader header_;
  const FileSystem::Path path_;
  std::shared_ptr<File> file_;  // shared with readers of the directory: writers hold it while the
                                // segment may be put away
  std::vector<bool> live_;      // by first block
  std::size_t live_records_ = 0;
  std::uint64_t live_bytes_ = 0;

  mutable std::mutex sync_mutex_;
  std::condition_variable synced_;
  std::uint64_t arrived_ = 0;
  std::uint64_t durable_ = 0;
  bool syncing_ = false;
  std::optional<Error> failed_;
};

using SegmentPtr = std::shared_ptr<Segment>;  // also held by slots and sources of instances

}  // namespace isthmus::segments
