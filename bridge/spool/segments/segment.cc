#include "spool/segments/segment.h"

#include "base/failpoint.h"

namespace isthmus::segments {
namespace {

Error sync_error(const Error& error) {
  if (error.code == "disk.full") {
    return transient_error("spool.full", "The spool's disk is full: free space on it.");
  }
  return fatal_error("spool.segment_sync_failed", "A segment of the spool could not be synced (" +
                                                      error.message +
                                                      "): check the disk, then restart.");
}

}  // namespace

Result<void> Segment::make_durable(Counter& syncs) {
  std::unique_lock lock(sync_mutex_);
  const std::uint64_t mine = ++arrived_;
  for (;;) {
    if (durable_ >= mine) return {};
    if (failed_) return *failed_;
    if (syncing_) {
      synced_.wait(lock);
      continue;
    }
    syncing_ = true;
    const std::uint64_t covered = arrived_;
    lock.unlock();
    FAILPOINT(segment_record_written);
    const Result<void> synced = file_->sync();
    if (synced.ok()) FAILPOINT(segment_record_synced);
    lock.lock();
    syncing_ = false;
    syncs.add();
    if (synced.ok()) {
      durable_ = covered;
    } else {
      failed_ = sync_error(synced.error());
    }
    synced_.notify_all();
  }
}

std::uint64_t Segment::waiting() const {
  const std::lock_guard lock(sync_mutex_);
  return arrived_ - durable_;
}

void Segment::keep(const Place& place) {
  ASSERT(place.block() < live_.size() && !live_[place.block()]);
  live_[place.block()] = true;
  ++live_records_;
  live_bytes_ += place.payload_bytes;
}

bool Segment::release(const Place& place) {
  if (!is_live(place.block())) return false;
  live_[place.block()] = false;
  --live_records_;
  live_bytes_ -= place.payload_bytes;
  return true;
}

void Segment::begin_life(const SegmentHeader& header) {
  ASSERT(live_records_ == 0 && writers == 0 && readers == 0);
  header_ = header;
  cursor = kFirstRecordOffset;
  is_poor = false;
  const std::lock_guard lock(sync_mutex_);
  arrived_ = durable_ = 0;
  failed_.reset();  // a full disk; after anything else the process is going down
}

}  // namespace isthmus::segments
