// Whether more may be received: decided from atomics, so that a receiver can ask at any moment.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>

#include "base/env.h"

namespace isthmus {

// Watermarks of free space, what may be written again included and what is in flight taken off.
// A grade is entered below its mark and left when its mark and the distance from reserve_bytes to
// resume_bytes are free again, so that none flickers.
struct AdmissionOptions {
  FileSystem::Path directory;               // whose file system is watched
  std::uint64_t reserve_bytes = 2 * GiB;    // below: full
  std::uint64_t resume_bytes = 2560 * MiB;  // full is left from here on
  std::uint64_t refuse_bytes = 0;  // below: refusing; 0: one and a half times reserve_bytes
  std::uint64_t warn_bytes = 0;    // below: tight; 0: four times reserve_bytes
};

// In the order of severity. A sender never hears a warning status: up to `refusing` an instance is
// stored and answered with success, from `full` on it is not stored and answered 0xA700.
enum class AdmissionState {
  open,
  tight,     // space runs short: people are told, senders are not
  refusing,  // no new associations; those that are open go on
  full,      // no new instances either: opens again by itself
  draining,  // the same because a person said so, until they end it or the process does
  stopping,  // the process is going down
  failed,    // a fatal error: stays closed
};
std::string_view to_string(AdmissionState state);

// Any thread. Metrics: spool_admission_state, spool_free_bytes, spool_recyclable_bytes,
// spool_in_flight_bytes, spool_available_bytes, spool_fill_bytes_per_second,
// spool_time_to_full_seconds, spool_refused_total{reason}. Each change of state is one log event.
class Admission {
 public:
  Admission(Env& env, AdmissionOptions options);

  AdmissionState state() const { return state_.load(std::memory_order_acquire); }
  // A new instance may begin.
  bool is_open() const { return state() < AdmissionState::full; }
  // A new association, or another conversation that will bring instances, may begin.
  bool takes_associations() const { return state() < AdmissionState::refusing; }
  // May a new instance begin? "spool.full", "spool.draining" or "spool.closed" (transient), with
  // what an operator should do. Counts what it refuses; no I/O.
  Result<void> check() const;
  // May an instance that was begun go on? The watermark alone does not stop it, nor does stopping:
  // it was let in while there was a reserve. It ends with "spool.full" once half of the reserve is
  // gone too, so that the ledger can go on writing, and with "spool.closed" when the state is
  // failed.
  Result<void> check_continue() const;
  // Bytes of instances being received: a promise of the same amount still to come, so they count
  // against the free space although much of them is on disk already.
  void in_flight(std::int64_t change_bytes);
  std::int64_t in_flight_bytes() const { return in_flight_bytes_.load(std::memory_order_relaxed); }
  // Bytes of spool space that exist on disk already and may be written again: they count as free
  // space, for they are where the next instances go. They are no use to the ledger, so below a
  // quarter of the reserve of truly free space admission closes all the same: whoever sets space
  // aside leaves more than that.
  void recyclable(std::int64_t change_bytes);
  std::int64_t recyclable_bytes() const {
    return recyclable_bytes_.load(std::memory_order_relaxed);
  }
  // Measures the disk and decides anew; called every second or so, and after a write found it full.
  // When the disk cannot be measured, the state stays and a warning is logged.
  void refresh();
  // No new instances until it is ended; what was begun goes on. Any number of times. No effect once
  // closed for good.
  void drain(bool on);
  bool is_draining() const { return state() == AdmissionState::draining; }
  // For good: "stopping" or "failed". "failed" wins.
  void close(AdmissionState why);
  // Truly free space on the file system, as of the last refresh.
  std::uint64_t free_bytes() const { return free_bytes_.load(std::memory_order_relaxed); }
  // What the watermarks are compared with, as of the last refresh.
  std::uint64_t available_bytes() const { return available_bytes_.load(std::memory_order_relaxed); }
  // When it will be full at the present rate: what comes in less what is freed, smoothed over a
  // minute, whoever writes to that disk. Zero once it is full; nothing when space does not shrink,
  // or so slowly that it would take more than 30 days.
  std::optional<Milliseconds> time_to_full() const;

 private:
  static constexpr std::int64_t kNever = -1;

  Result<void> refuse(AdmissionState reason) const;
  // With mutex_ held.
  AdmissionState grade(std::uint64_t free, std::uint64_t available) const;
  void note_rate(std::uint64_t writable);
  void note_time_to_full(AdmissionState next, std::uint64_t available);
  void announce(AdmissionState next);
  void enter(AdmissionState next);

  Env& env_;
  const AdmissionOptions options_;
  std::atomic<AdmissionState> state_{AdmissionState::open};
  std::atomic<std::int64_t> in_flight_bytes_{0};
  std::atomic<std::int64_t> recyclable_bytes_{0};
  std::atomic<std::uint64_t> free_bytes_{0};
  std::atomic<std::uint64_t> available_bytes_{0};
  std::atomic<bool> reserve_is_short_{false};
  std::atomic<std::int64_t> milliseconds_to_full_{kNever};
  std::mutex mutex_;  // state changes and the rate
  struct Measured {
    SteadyTime at;
    std::uint64_t writable_bytes = 0;
  };
  std::optional<Measured> last_;
  double fill_bytes_per_second_ = 0;  // smoothed; below zero: space comes back
  Gauge& state_gauge_;
  Gauge& free_gauge_;
  Gauge& in_flight_gauge_;
  Gauge& recyclable_gauge_;
  Gauge& available_gauge_;
  Gauge& fill_rate_gauge_;
  Gauge& time_to_full_gauge_;
  std::array<Counter*, 7> refused_{};  // by state
};

}  // namespace isthmus
