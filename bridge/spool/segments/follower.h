// Rows that follow: remembers which promises have no row yet, in the order of their sequence, and
// hands them to the ledger in batches. A promise is "open" from the moment it has a place; its row
// waits until every one before it is settled or dropped, so that the position in the ledger never
// passes one that may still become a promise.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>

#include "base/thread.h"
#include "ledger/spool_rows.h"
#include "spool/segments/store.h"

namespace isthmus::segments {

// Any thread, but follow_once(): one at a time. Without a thread in the background catch_up() is
// such a call as well.
class Follower {
 public:
  // `unneeded` gets what turned out to be known already: its bytes are not needed.
  Follower(Env& env, SpoolRows& rows, const SegmentOptions& options,
           std::function<void(const SpoolRef&)> unneeded);

  // Called in the order of sequences.
  void open(const Slot& slot);
  // It is durable: its row is due.
  void settle(std::uint64_t sequence, Arrival arrival);
  // It never became a promise, or needs no row.
  void drop(std::uint64_t sequence);
  // It is durable, and no promise after all: the position passes it as soon as it passes a row, so
  // that no start takes it for one.
  void withdraw(std::uint64_t sequence);

  // Waits while too many promises are without a row. "spool.full" (transient) when that lasts.
  Result<void> wait_for_room();
  // Makes the rows that are due, at most one batch. True when there may be more.
  Result<bool> follow_once();
  // Everything that is settled now has its row.
  Result<void> catch_up();

  // Waits for something to do, and then a little, for more of it. False: it is time to end.
  bool await_work();
  void stop();

 private:
  struct Entry {
    enum class State { open, settled, dropped, withdrawn };
    State state = State::open;
    std::uint64_t generation = 0;
    std::optional<Arrival> arrival;
  };
  struct Batch {
    std::vector<Arrival> arrivals;
    SpoolPosition reached;
    std::size_t entries = 0;
    bool has_withdrawn = false;
  };

  // With the lock held.
  Entry& entry(std::uint64_t sequence);
  void gather(Batch& batch);
  void note_settled();

  Env& env_;
  SpoolRows& rows_;
  const SegmentOptions options_;
  const std::function<void(const SpoolRef&)> unneeded_;
  Gauge& behind_;

  std::mutex mutex_;
  std::condition_variable followed_;
  std::deque<Entry> entries_;
  std::uint64_t first_sequence_ = 1;  // of entries_.front()
  std::size_t settled_ = 0;           // entries that wait for their row
  bool stopping_ = false;
  std::optional<Error> trouble_;  // of the last attempt to follow
  Batch batch_;                   // taken, not in the ledger yet; kept when the ledger refuses
  Wakeup work_, plenty_;
};

}  // namespace isthmus::segments
