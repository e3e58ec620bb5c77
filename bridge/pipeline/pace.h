// What the scheduler is made of, each a rule of its own: the rate that a quota allows, a limit that
// gives way, a circuit breaker, a bandwidth. Pure: time and chance come in as arguments. Private to
// the pipeline; one thread at a time.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "base/env.h"
#include "pipeline/step.h"

namespace isthmus {

// A token bucket: so many calls a second on average, `burst` at once. The rate is halved by each
// call that the service throttled (to a sixty-fourth at least) and grows back by a twentieth of the
// allowed rate with each that went well. In memory: after a restart the burst may be had once more,
// which costs a throttled call at worst.
class AdaptiveRate {
 public:
  AdaptiveRate(double per_second, std::int64_t burst, SteadyTime now);
  // How long until a call may be made; 0 is now.
  Milliseconds wait(SteadyTime now);
  void take() { tokens_ -= 1.0; }
  void succeeded();
  // The service asked for less: nothing for `pause`, then at half the rate, unless that was no
  // `fault_of_rate`.
  void throttled(SteadyTime now, Milliseconds pause, bool fault_of_rate = true);
  double per_second() const { return per_second_; }
  // Calls that may be made at once by now; below 1 the next one has to wait.
  double tokens(SteadyTime now) const;
  bool is_reduced() const { return per_second_ < allowed_; }

 private:
  const double allowed_;  // calls per second
  const double burst_;
  double per_second_;
  double tokens_;
  SteadyTime filled_at_;
  SteadyTime held_until_{};
};

// So many at once. Halved when the other side has too much of it, one more after as many successes
// as it allows.
class AdaptiveLimit {
 public:
  explicit AdaptiveLimit(std::int64_t most);
  std::int64_t now() const { return now_; }
  bool is_reduced() const { return now_ < most_; }
  void succeeded();
  void halve();
  // The other side's own limit was met at `reached`.
  void lower_to(std::int64_t reached);

 private:
  const std::int64_t most_;
  std::int64_t now_;
  std::int64_t successes_ = 0;
};

enum class Circuit { closed, open, half_open };
std::string_view to_string(Circuit circuit);

// Keeps calls from a destination that is out. Opens when `failures` different subjects (instances,
// batches) failed with nothing between them that went well, or at once by an error that can only be
// the destination's; then waits, longer each time, and lets one call through as a probe.
class CircuitBreaker {
 public:
  CircuitBreaker(std::size_t failures, Backoff backoff) : failures_(failures), backoff_(backoff) {}

  Circuit state(SteadyTime now) const;
  // How long until a call may be made; 0 is now. While half open, one call at a time: the probe.
  Milliseconds wait(SteadyTime now) const;
  void succeeded();
  // Whether the failure is the subject's: not while the circuit is not closed, for then it says
  // nothing new about the subject. While half open it opens the circuit again.
  bool failed(const std::string& subject, bool is_the_destinations, SteadyTime now,
              Entropy& entropy);

 private:
  void open(SteadyTime now, Entropy& entropy);

  const std::size_t failures_;
  const Backoff backoff_;
  std::set<std::string> failed_;  // subjects since the last success
  std::int64_t openings_ = 0;     // in a row; 0: closed
  SteadyTime open_until_{};
};

// So many bytes a second on average, a second's worth at once; 0 is no limit. What is taken beyond
// is a debt that is waited for afterwards: one who takes much is not kept from it for ever.
class Bandwidth {
 public:
  Bandwidth(std::uint64_t bytes_per_second, SteadyTime now);
  Milliseconds wait(SteadyTime now);
  void take(std::uint64_t bytes) { allowance_bytes_ -= static_cast<double>(bytes); }
  std::uint64_t bytes_per_second() const { return bytes_per_second_; }

 private:
  const std::uint64_t bytes_per_second_;
  double allowance_bytes_;
  SteadyTime filled_at_;
};

// Errors that say nothing about one instance or batch, only about the destination: nobody listens,
// no credentials, no permission, no bucket.
bool is_the_destinations(const Error& error);

}  // namespace isthmus
