// The segments of a spool: which is written, which come next, which can be used again. It gives out
// places for records and takes them back; it knows nothing of rows.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/thread.h"
#include "spool/admission.h"
#include "spool/segments/segment.h"
#include "spool/spool.h"

namespace isthmus::segments {

// A place for one record, until conclude().
struct Slot {
  SegmentPtr segment;
  Place place;
  std::uint64_t sequence = 0;
};

class SegmentStore {
 public:
  SegmentStore(Env& env, FileSystem::Path directory, Admission& admission, SegmentOptions options);

  // --- start-up, one thread -------------------------------------------------------------------
  // Reads the headers of what is there, and removes what was being made.
  Result<void> load();
  // In the order of their generations; damaged ones are not among them.
  std::vector<SegmentPtr> by_generation() const;
  // The bytes at this place are needed. False when they are not there.
  bool keep(const Place& place);
  // After all keep(): what is not needed may be used again.
  void begin(std::uint64_t next_sequence);

  // --- records: any thread --------------------------------------------------------------------
  // The next place, and the next sequence: both in one order. `opened` is called with the sequence
  // while no other place is given out. "spool.no_segment" (transient): none has room and none can
  // be made now.
  Result<Slot> reserve(std::uint64_t payload_bytes, const std::function<void(const Slot&)>& opened);
  // The record in it is needed, or not; either way nobody writes there any more.
  void conclude(const Slot& slot, bool is_kept);
  // "spool.not_found" when the place is not kept. The segment is not used again while the source
  // lives, which must not outlive this.
  Result<std::unique_ptr<ByteSource>> open(const Place& place);
  bool release(const Place& place);
  // A write or sync failed there: nothing is appended to it any more.
  void put_aside(const SegmentPtr& segment);
  std::size_t kept_records() const;
  std::uint64_t kept_bytes() const { return kept_bytes_.load(std::memory_order_relaxed); }

  // --- looking after: one thread at a time ----------------------------------------------------
  // Makes one segment ready if fewer are than should be. True when it did.
  Result<bool> prepare_one();
  // Removes one segment that nothing was in for long, if there are enough without it. True when it
  // did.
  Result<bool> remove_one();
  // A sealed segment that hardly holds anything, and has not changed for long.
  std::optional<SegmentPtr> to_compact();
  void give_up_compacting(const SegmentPtr& segment);
  // Called when there may be a segment to make ready.
  void on_need(std::function<void()> notify) { notify_ = std::move(notify); }
  // Nobody waits for a segment any more.
  void stop();

 private:
  using Lock = std::unique_lock<std::mutex>;
  class Source;

  Result<SegmentPtr> load_one(std::uint32_t number);
  Result<SegmentHeader> plan_new();
  Result<void> make_new(const SegmentHeader& header);
  Result<void> fill_with_zeros(File& file, std::uint64_t size_bytes);
  Result<void> write_header(File& file, const SegmentHeader& header);
  Nonce make_nonce();

  // With the lock held.
  SegmentPtr find(const Place& place) const;
  SegmentPtr idle_segment() const;
  SegmentPtr surplus_segment() const;
  std::uint64_t next_generation(std::uint64_t after);
  void rotate();
  void settle(const SegmentPtr& segment);
  bool wait_for_ready(Lock& lock);
  void show();
  void hold(std::int64_t change_bytes);

  Env& env_;
  const FileSystem::Path directory_;
  Admission& admission_;
  const SegmentOptions options_;
  std::function<void()> notify_;

  mutable std::mutex mutex_;
  std::condition_variable prepared_;
  std::map<std::uint32_t, SegmentPtr> segments_;
  std::deque<SegmentPtr> ready_;
  SegmentPtr current_;
  std::uint64_t last_generation_ = 0;
  std::uint64_t next_sequence_ = 1;
  bool cannot_prepare_ = false;
  bool stopping_ = false;
  std::atomic<std::uint64_t> kept_bytes_{0};
  Gauge& kept_gauge_;
};

}  // namespace isthmus::segments
