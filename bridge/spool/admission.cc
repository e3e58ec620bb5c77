#include "spool/admission.h"

#include <string>

namespace isthmus {

std::string_view to_string(AdmissionState state) {
  switch (state) {
    case AdmissionState::open:
      return "open";
    case AdmissionState::full:
      return "full";
    case AdmissionState::stopping:
      return "stopping";
    case AdmissionState::failed:
      return "failed";
  }
  assertion_failed("a known AdmissionState", __FILE__, __LINE__);
}

Admission::Admission(Env& env, AdmissionOptions options)
    : env_(env),
      options_(std::move(options)),
      state_gauge_(env.metrics.gauge("spool_admission_state",
                                     "0 open, 1 full, 2 stopping, 3 failed: only 0 receives.")),
      free_gauge_(env.metrics.gauge("spool_free_bytes",
                                    "Free space on the spool's file system when last measured.")),
      in_flight_gauge_(env.metrics.gauge("spool_in_flight_bytes",
                                         "Bytes of instances that are being received.")),
      recyclable_gauge_(env.metrics.gauge(
          "spool_recyclable_bytes", "Spool space on disk that is free to be written again.")) {
  for (const AdmissionState reason :
       {AdmissionState::full, AdmissionState::stopping, AdmissionState::failed}) {
    refused_[static_cast<std::size_t>(reason)] =
        &env.metrics.counter("spool_refused_total", "Instances that admission refused.",
                             {{"reason", std::string(to_string(reason))}});
  }
}

Result<void> Admission::check() const {
  const AdmissionState now = state();
  if (now == AdmissionState::open) return {};
  return refuse(now);
}

Result<void> Admission::check_continue() const {
  if (state() == AdmissionState::failed) return refuse(AdmissionState::failed);
  if (reserve_is_short_.load(std::memory_order_relaxed)) return refuse(AdmissionState::full);
  return {};
}

Result<void> Admission::refuse(AdmissionState reason) const {
  refused_[static_cast<std::size_t>(reason)]->add();
  switch (reason) {
    case AdmissionState::open:
      break;
    case AdmissionState::full:
      return transient_error("spool.full",
                             "The spool's disk is nearly full: free space on it, or let deliveries "
                             "proceed; receiving goes on by itself.");
    case AdmissionState::stopping:
      return transient_error("spool.closed",
                             "The gateway is stopping: send again when it is back.");
    case AdmissionState::failed:
      return transient_error("spool.closed",
                             "The gateway stopped receiving after a fatal storage error: see its "
                             "log, repair the disk and restart it.");
  }
  assertion_failed("a reason to refuse", __FILE__, __LINE__);
}

void Admission::in_flight(std::int64_t change_bytes) {
  const std::int64_t before = in_flight_bytes_.fetch_add(change_bytes, std::memory_order_relaxed);
  ASSERT(before + change_bytes >= 0);
  in_flight_gauge_.add(static_cast<double>(change_bytes));
}

void Admission::recyclable(std::int64_t change_bytes) {
  const std::int64_t before = recyclable_bytes_.fetch_add(change_bytes, std::memory_order_relaxed);
  ASSERT(before + change_bytes >= 0);
  recyclable_gauge_.add(static_cast<double>(change_bytes));
}

void Admission::refresh() {
  const Result<SpaceInfo> space = env_.files.space(options_.directory);
  if (!space.ok()) {
    env_.log.warn("admission.disk_not_measured", {{"code", space.error().code}});
    return;
  }
  const std::uint64_t free = space->free_bytes;
  free_bytes_.store(free, std::memory_order_relaxed);
  free_gauge_.set(static_cast<double>(free));
  const auto recyclable = static_cast<std::uint64_t>(recyclable_bytes());
  const std::uint64_t writable = free + recyclable;
  const bool ledger_is_short = free < options_.reserve_bytes / 4;
  reserve_is_short_.store(writable < options_.reserve_bytes / 2 || ledger_is_short,
                          std::memory_order_relaxed);

  const std::lock_guard lock(mutex_);
  const auto in_flight = static_cast<std::uint64_t>(in_flight_bytes());
  const std::uint64_t available = writable > in_flight ? writable - in_flight : 0;
  if (state() == AdmissionState::open && (available < options_.reserve_bytes || ledger_is_short)) {
    env_.log.warn("admission.full", {{"free_bytes", free},
                                     {"recyclable_bytes", recyclable},
                                     {"in_flight_bytes", in_flight},
                                     {"reserve_bytes", options_.reserve_bytes}});
    enter(AdmissionState::full);
  } else if (state() == AdmissionState::full && available >= options_.resume_bytes &&
             free >= options_.reserve_bytes / 2) {
    env_.log.info(
        "admission.open",
        {{"free_bytes", free}, {"recyclable_bytes", recyclable}, {"in_flight_bytes", in_flight}});
    enter(AdmissionState::open);
  }
}

void Admission::close(AdmissionState why) {
  ASSERT(why == AdmissionState::stopping || why == AdmissionState::failed);
  const std::lock_guard lock(mutex_);
  if (state() == why || state() == AdmissionState::failed) return;
  if (why == AdmissionState::failed) {
    env_.log.error("admission.failed", {{"was", to_string(state())}});
  } else {
    env_.log.info("admission.stopping", {{"was", to_string(state())}});
  }
  enter(why);
}

void Admission::enter(AdmissionState next) {
  state_.store(next, std::memory_order_release);
  state_gauge_.set(static_cast<double>(next));
}

}  // namespace isthmus
