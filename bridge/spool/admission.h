// Whether more may be received: decided from atomics, so that a receiver can ask at any moment.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string_view>

#include "base/env.h"

namespace isthmus {

struct AdmissionOptions {
  FileSystem::Path directory;  // whose file system is watched
  std::uint64_t reserve_bytes =
      2 * GiB;  // below this much free space, less what is in flight: closed
  std::uint64_t resume_bytes = 2560 * MiB;  // opens again only from this on (hysteresis)
};

enum class AdmissionState {
  open,
  full,      // disk watermark: opens again by itself
  stopping,  // the process is going down
  failed,    // a fatal error: stays closed
};
std::string_view to_string(AdmissionState state);

// Any thread. Metrics: spool_admission_state, spool_free_bytes, spool_recyclable_bytes,
// spool_in_flight_bytes, spool_refused_total{reason}.
class Admission {
 public:
  Admission(Env& env, AdmissionOptions options);

  AdmissionState state() const { return state_.load(std::memory_order_acquire); }
  bool is_open() const { return state() == AdmissionState::open; }
  // May a new instance begin? "spool.full" (transient) or "spool.closed" (transient), with what an
  // operator should do. Counts what it refuses; no I/O.
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
  // For good: "stopping" or "failed". "failed" wins.
  void close(AdmissionState why);
  // Truly free space on the file system, as of the last refresh.
  std::uint64_t free_bytes() const { return free_bytes_.load(std::memory_order_relaxed); }

 private:
  Result<void> refuse(AdmissionState reason) const;
  void enter(AdmissionState next);  // with mutex_ held

  Env& env_;
  const AdmissionOptions options_;
  std::atomic<AdmissionState> state_{AdmissionState::open};
  std::atomic<std::int64_t> in_flight_bytes_{0};
  std::atomic<std::int64_t> recyclable_bytes_{0};
  std::atomic<std::uint64_t> free_bytes_{0};
  std::atomic<bool> reserve_is_short_{false};
  std::mutex mutex_;  // state changes
  Gauge& state_gauge_;
  Gauge& free_gauge_;
  Gauge& in_flight_gauge_;
  Gauge& recyclable_gauge_;
  std::array<Counter*, 4> refused_{};  // by state
};

}  // namespace isthmus
