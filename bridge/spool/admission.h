// Whether more may be received: decided from atomics, so that a receiver can ask at any moment.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "base/env.h"

namespace isthmus {

struct AdmissionOptions {
  FileSystem::Path directory;              // whose file system is watched
  std::uint64_t reserve_bytes = 2 * GiB;   // below this much free space, less what is in flight: closed
  std::uint64_t resume_bytes = 2560 * MiB; // opens again only above this (hysteresis)
};

enum class AdmissionState {
  open,
  full,      // disk watermark: opens again by itself
  stopping,  // the process is going down
  failed,    // a fatal error: stays closed
};
std::string_view to_string(AdmissionState state);

// Any thread.
class Admission {
 public:
  Admission(Env& env, AdmissionOptions options);

  AdmissionState state() const { return state_.load(std::memory_order_acquire); }
  bool is_open() const { return state() == AdmissionState::open; }
  // "spool.full" (transient) or "spool.closed" (transient), with what an operator should do.
  Result<void> check() const;
  // Bytes that receivers are writing right now; they count against the free space.
  void in_flight(std::int64_t change_bytes);
  std::int64_t in_flight_bytes() const { return in_flight_bytes_.load(std::memory_order_relaxed); }
  // Measures the disk and decides anew; called every second or so, and after a write found it full.
  void refresh();
  // For good: "stopping" or "failed". "failed" wins.
  void close(AdmissionState why);
  std::uint64_t free_bytes() const { return free_bytes_.load(std::memory_order_relaxed); }

 private:
  Env& env_;
  AdmissionOptions options_;
  std::atomic<AdmissionState> state_{AdmissionState::open};
  std::atomic<std::int64_t> in_flight_bytes_{0};
  std::atomic<std::uint64_t> free_bytes_{0};
  std::mutex refresh_mutex_;
};

}  // namespace isthmus
