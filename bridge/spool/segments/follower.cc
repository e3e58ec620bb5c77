#include "spool/segments/follower.h"

#include "base/failpoint.h"

namespace isthmus::segments {
namespace {

constexpr Milliseconds kIdle{1000};
// How long a receiver waits for the ledger before its sender is told to come again.
constexpr std::chrono::seconds kLongestWait{10};

}  // namespace

Follower::Follower(Env& env, SpoolRows& rows, const SegmentOptions& options,
                   std::function<void(const SpoolRef&)> unneeded)
    : env_(env),
      rows_(rows),
      options_(options),
      unneeded_(std::move(unneeded)),
      behind_(env.metrics.gauge("spool_rows_behind",
                                "Instances that were promised and have no row yet.")) {}

void Follower::open(const Slot& slot) {
  const std::lock_guard lock(mutex_);
  if (entries_.empty()) first_sequence_ = slot.sequence;
  ASSERT(slot.sequence == first_sequence_ + entries_.size());
  entries_.push_back({Entry::State::open, slot.place.generation, std::nullopt});
}

Follower::Entry& Follower::entry(std::uint64_t sequence) {
  ASSERT(sequence >= first_sequence_ && sequence - first_sequence_ < entries_.size());
  return entries_[static_cast<std::size_t>(sequence - first_sequence_)];
}

void Follower::settle(std::uint64_t sequence, Arrival arrival) {
  const std::lock_guard lock(mutex_);
  Entry& one = entry(sequence);
  one.state = Entry::State::settled;
  one.arrival = std::move(arrival);
  ++settled_;
  note_settled();
  // The first one lets all that are settled behind it go on.
  if (settled_ == 1 || sequence == first_sequence_) work_.notify();
  if (settled_ >= options_.rows_at_once) plenty_.notify();
}

void Follower::drop(std::uint64_t sequence) {
  const std::lock_guard lock(mutex_);
  entry(sequence).state = Entry::State::dropped;
  work_.notify();
}

void Follower::withdraw(std::uint64_t sequence) {
  const std::lock_guard lock(mutex_);
  entry(sequence).state = Entry::State::withdrawn;
  work_.notify();
}

void Follower::note_settled() {
  behind_.set(static_cast<double>(settled_ + batch_.arrivals.size()));
}

Result<void> Follower::wait_for_room() {
  std::unique_lock lock(mutex_);
  const bool has_room = followed_.wait_for(
      lock, kLongestWait, [&] { return stopping_ || settled_ < options_.max_rows_behind; });
  if (has_room) return {};
  return transient_error("spool.full",
                         "The ledger does not keep up with the spool: see whether its disk is full "
                         "or slow; receiving goes on by itself.");
}

void Follower::gather(Batch& batch) {
  while (!entries_.empty() && entries_.front().state != Entry::State::open &&
         batch.arrivals.size() < options_.rows_at_once) {
    Entry& one = entries_.front();
    if (one.arrival) batch.arrivals.push_back(std::move(*one.arrival));
    batch.has_withdrawn = batch.has_withdrawn || one.state == Entry::State::withdrawn;
    batch.reached = {first_sequence_, one.generation};
    ++batch.entries;
    entries_.pop_front();
    ++first_sequence_;
  }
  settled_ -= batch.arrivals.size();
}

Result<bool> Follower::follow_once() {
  {
    const std::lock_guard lock(mutex_);
    if (batch_.entries == 0) gather(batch_);
    // Places that hold nothing need no transaction of their own: the next batch passes them.
    if (batch_.arrivals.empty() && !batch_.has_withdrawn) {
      batch_ = {};
      followed_.notify_all();
      return false;
    }
  }
  // Nobody else touches what the batch holds while it is not empty.
  const auto receipts = rows_.follow(batch_.arrivals, batch_.reached);
  if (!receipts.ok()) {
    const std::lock_guard lock(mutex_);
    trouble_ = receipts.error();
    followed_.notify_all();
    return receipts.error();
  }
  FAILPOINT(segment_rows_followed);
  for (std::size_t i = 0; i < receipts->size(); ++i) {
    const Receipt& receipt = (*receipts)[i];
    if (receipt.known && !receipt.bytes_taken) unneeded_(batch_.arrivals[i].spool_ref);
  }
  const std::lock_guard lock(mutex_);
  trouble_.reset();
  batch_ = {};
  note_settled();
  followed_.notify_all();
  return settled_ > 0;
}

Result<void> Follower::catch_up() {
  std::unique_lock lock(mutex_);
  const std::uint64_t end = first_sequence_ + entries_.size();
  const auto is_done = [&] { return batch_.entries == 0 && first_sequence_ >= end; };
  trouble_.reset();
  while (!is_done()) {
    if (options_.background) {
      work_.notify();
      plenty_.notify();
      followed_.wait(lock, [&] { return stopping_ || trouble_ || is_done(); });
      if (trouble_) return *trouble_;
      if (is_done()) return {};
      if (stopping_) return transient_error("spool.closed", "The gateway is stopping.");
      continue;
    }
    if (batch_.entries == 0 && entries_.front().state == Entry::State::open) return {};
    lock.unlock();
    TRY(follow_once());
    lock.lock();
  }
  return {};
}

bool Follower::await_work() {
  work_.wait_for(kIdle);
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
    if (settled_ == 0 && batch_.entries == 0) return true;
    if (settled_ >= options_.rows_at_once) return true;
  }
  plenty_.wait_for(options_.rows_within);
  return true;
}

void Follower::stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  work_.notify();
  plenty_.notify();
  followed_.notify_all();
}

}  // namespace isthmus::segments
