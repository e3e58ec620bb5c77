#include "spool/admission.h"

#include <cmath>
#include <limits>
#include <string>

namespace isthmus {
namespace {

// The present rate is that of about the last minute: long enough that one large study does not ring
// a bell, short enough that a burst which will fill the disk in an hour is seen within minutes.
constexpr double kSmoothedOverSeconds = 60;
// Nobody plans on a rate that would take longer.
constexpr double kForeseenSeconds = 30.0 * 24 * 3600;

AdmissionOptions with_defaults(AdmissionOptions options) {
  if (options.refuse_bytes == 0) options.refuse_bytes = options.reserve_bytes / 2 * 3;
  if (options.warn_bytes == 0) options.warn_bytes = options.reserve_bytes * 4;
  return options;
}

// In metrics a number keeps its meaning: draining came last.
double number_of(AdmissionState state) {
  if (state == AdmissionState::draining) return 6;
  return static_cast<double>(state) - (state > AdmissionState::draining ? 1 : 0);
}

}  // namespace

std::string_view to_string(AdmissionState state) {
  switch (state) {
    case AdmissionState::open:
      return "open";
    case AdmissionState::tight:
      return "tight";
    case AdmissionState::refusing:
      return "refusing";
    case AdmissionState::full:
      return "full";
    case AdmissionState::draining:
      return "draining";
    case AdmissionState::stopping:
      return "stopping";
    case AdmissionState::failed:
      return "failed";
  }
  assertion_failed("a known AdmissionState", __FILE__, __LINE__);
}

Admission::Admission(Env& env, AdmissionOptions options)
    : env_(env),
      options_(with_defaults(std::move(options))),
      state_gauge_(env.metrics.gauge(
          "spool_admission_state",
          "0 open, 1 tight, 2 refusing associations, 3 full, 4 stopping, 5 failed, 6 draining.")),
      free_gauge_(env.metrics.gauge("spool_free_bytes",
                                    "Free space on the spool's file system when last measured.")),
      in_flight_gauge_(env.metrics.gauge("spool_in_flight_bytes",
                                         "Bytes of instances that are being received.")),
      recyclable_gauge_(env.metrics.gauge("spool_recyclable_bytes",
                                          "Spool space on disk that is free to be written again.")),
      available_gauge_(env.metrics.gauge(
          "spool_available_bytes",
          "Free and recyclable space less what is in flight: compared with the watermarks.")),
      fill_rate_gauge_(env.metrics.gauge(
          "spool_fill_bytes_per_second",
          "How fast space shrinks, smoothed over a minute; below zero: it comes back.")),
      time_to_full_gauge_(env.metrics.gauge(
          "spool_time_to_full_seconds",
          "Until admission closes at the present rate; +Inf when it does not shrink.")) {
  time_to_full_gauge_.set(std::numeric_limits<double>::infinity());
  for (const AdmissionState reason : {AdmissionState::full, AdmissionState::draining,
                                      AdmissionState::stopping, AdmissionState::failed}) {
    refused_[static_cast<std::size_t>(reason)] =
        &env.metrics.counter("spool_refused_total", "Instances that admission refused.",
                             {{"reason", std::string(to_string(reason))}});
  }
}

Result<void> Admission::check() const {
  const AdmissionState now = state();
  if (now < AdmissionState::full) return {};
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
    case AdmissionState::tight:
    case AdmissionState::refusing:
      break;
    case AdmissionState::full:
      return transient_error("spool.full",
                             "The spool's disk is nearly full: free space on it, or let deliveries "
                             "proceed; receiving goes on by itself.");
    case AdmissionState::draining:
      return transient_error("spool.draining",
                             "The gateway is being drained: send again when it takes instances.");
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
  const std::uint64_t writable = free + static_cast<std::uint64_t>(recyclable_bytes());
  const auto in_flight = static_cast<std::uint64_t>(in_flight_bytes());
  const std::uint64_t available = writable > in_flight ? writable - in_flight : 0;
  free_bytes_.store(free, std::memory_order_relaxed);
  free_gauge_.set(static_cast<double>(free));
  available_bytes_.store(available, std::memory_order_relaxed);
  available_gauge_.set(static_cast<double>(available));
  reserve_is_short_.store(
      writable < options_.reserve_bytes / 2 || free < options_.reserve_bytes / 4,
      std::memory_order_relaxed);

  const std::lock_guard lock(mutex_);
  note_rate(writable);
  if (state() > AdmissionState::full) return;  // for good, or until a drain is ended
  const AdmissionState next = grade(free, available);
  note_time_to_full(next, available);
  if (next == state()) return;
  announce(next);
  enter(next);
}

AdmissionState Admission::grade(std::uint64_t free, std::uint64_t available) const {
  const std::uint64_t distance = options_.resume_bytes > options_.reserve_bytes
                                     ? options_.resume_bytes - options_.reserve_bytes
                                     : 0;
  const auto holds = [&](AdmissionState one, std::uint64_t mark) {
    return available < (state() >= one ? mark + distance : mark);
  };
  // The ledger's share of truly free space: see recyclable().
  const std::uint64_t ledger_mark =
      options_.reserve_bytes / (state() == AdmissionState::full ? 2 : 4);
  if (holds(AdmissionState::full, options_.reserve_bytes) || free < ledger_mark) {
    return AdmissionState::full;
  }
  if (holds(AdmissionState::refusing, options_.refuse_bytes)) return AdmissionState::refusing;
  if (holds(AdmissionState::tight, options_.warn_bytes)) return AdmissionState::tight;
  return AdmissionState::open;
}

void Admission::note_rate(std::uint64_t writable) {
  const SteadyTime now = env_.clock.steady_now();
  if (last_ && now > last_->at) {
    const double seconds = std::chrono::duration<double>(now - last_->at).count();
    const double shrunk =
        static_cast<double>(last_->writable_bytes) - static_cast<double>(writable);
    // A weight by time, not by reading: refresh() comes more often when writes find the disk full.
    const double weight = 1 - std::exp(-seconds / kSmoothedOverSeconds);
    fill_bytes_per_second_ += weight * (shrunk / seconds - fill_bytes_per_second_);
    fill_rate_gauge_.set(fill_bytes_per_second_);
  }
  if (!last_ || now > last_->at) last_ = Measured{now, writable};
}

void Admission::note_time_to_full(AdmissionState next, std::uint64_t available) {
  double seconds = std::numeric_limits<double>::infinity();
  if (next == AdmissionState::full) {
    seconds = 0;
  } else if (fill_bytes_per_second_ > 0) {
    seconds = static_cast<double>(available - options_.reserve_bytes) / fill_bytes_per_second_;
  }
  if (seconds > kForeseenSeconds) seconds = std::numeric_limits<double>::infinity();
  time_to_full_gauge_.set(seconds);
  milliseconds_to_full_.store(
      std::isinf(seconds) ? kNever : static_cast<std::int64_t>(seconds * 1000),
      std::memory_order_relaxed);
}

std::optional<Milliseconds> Admission::time_to_full() const {
  const std::int64_t milliseconds = milliseconds_to_full_.load(std::memory_order_relaxed);
  if (milliseconds == kNever) return std::nullopt;
  return Milliseconds(milliseconds);
}

void Admission::announce(AdmissionState next) {
  const auto left = time_to_full();
  const std::string name = "admission." + std::string(to_string(next));
  const LogLevel level = next > state() ? LogLevel::warn : LogLevel::info;
  env_.log.event(level, name,
                 {{"free_bytes", free_bytes()},
                  {"recyclable_bytes", recyclable_bytes()},
                  {"in_flight_bytes", in_flight_bytes()},
                  {"available_bytes", available_bytes()},
                  {"was", to_string(state())},
                  {"time_to_full_s", left ? std::to_string(left->count() / 1000) : "never"}});
}

void Admission::drain(bool on) {
  {
    const std::lock_guard lock(mutex_);
    if (state() > AdmissionState::draining || is_draining() == on) return;
    env_.log.info(on ? "admission.draining" : "admission.drain_ended",
                  {{"was", to_string(state())}});
    enter(on ? AdmissionState::draining : AdmissionState::full);
  }
  if (!on) refresh();
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
  state_gauge_.set(number_of(next));
}

}  // namespace isthmus
