#include "pipeline/pace.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace isthmus {
namespace {

constexpr double kLeastRate = 0.001;      // calls per second; as the settings' bound
constexpr double kLeastShare = 1.0 / 64;  // of the allowed rate, however often it is throttled
constexpr double kGrowth = 1.0 / 20;      // of the allowed rate, by each success

Milliseconds in_ms(double ms) {
  return Milliseconds{static_cast<std::int64_t>(std::ceil(ms))};
}

double passed_ms(SteadyTime since, SteadyTime now) {
  return static_cast<double>(std::max((now - since).count(), Milliseconds::rep{0}));
}

}  // namespace

// --- rate
// ------------------------------------------------------------------------------------------

AdaptiveRate::AdaptiveRate(double per_second, std::int64_t burst, SteadyTime now)
    : allowed_(std::max(per_second, kLeastRate)),
      burst_(static_cast<double>(std::max<std::int64_t>(burst, 1))),
      per_second_(allowed_),
      tokens_(burst_),
      filled_at_(now) {}

double AdaptiveRate::tokens(SteadyTime now) const {
  const SteadyTime from = std::max(filled_at_, std::min(held_until_, now));
  return std::min(burst_, tokens_ + passed_ms(from, now) * per_second_ / 1000.0);
}

Milliseconds AdaptiveRate::wait(SteadyTime now) {
  tokens_ = tokens(now);
  filled_at_ = now;
  if (now < held_until_) return held_until_ - now;
  if (tokens_ >= 1.0) return Milliseconds{0};
  return in_ms((1.0 - tokens_) / per_second_ * 1000.0) + Milliseconds{1};
}

void AdaptiveRate::succeeded() {
  per_second_ = std::min(allowed_, per_second_ + allowed_ * kGrowth);
}

void AdaptiveRate::throttled(SteadyTime now, Milliseconds pause, bool fault_of_rate) {
  if (fault_of_rate) per_second_ = std::max(per_second_ / 2, allowed_ * kLeastShare);
  // Half a burst at most when the pause is over: a whole one may be what it was throttled for.
  tokens_ = std::max(1.0, std::min(tokens_, burst_ / 2));
  filled_at_ = now;
  held_until_ = std::max(held_until_, now + pause);
}

// --- limit
// -----------------------------------------------------------------------------------------

AdaptiveLimit::AdaptiveLimit(std::int64_t most)
    : most_(std::max<std::int64_t>(most, 1)), now_(most_) {}

void AdaptiveLimit::succeeded() {
  if (!is_reduced() || ++successes_ < now_) return;
  successes_ = 0;
  ++now_;
}

void AdaptiveLimit::halve() {
  lower_to(now_ / 2);
}

void AdaptiveLimit::lower_to(std::int64_t reached) {
  successes_ = 0;
  now_ = std::clamp<std::int64_t>(reached, 1, now_);
}

// --- circuit
// ---------------------------------------------------------------------------------------

std::string_view to_string(Circuit circuit) {
  switch (circuit) {
    case Circuit::closed:
      return "closed";
    case Circuit::open:
      return "open";
    case Circuit::half_open:
      return "half_open";
  }
  return "closed";
}

Circuit CircuitBreaker::state(SteadyTime now) const {
  if (openings_ == 0) return Circuit::closed;
  return now < open_until_ ? Circuit::open : Circuit::half_open;
}

Milliseconds CircuitBreaker::wait(SteadyTime now) const {
  return state(now) == Circuit::open ? open_until_ - now : Milliseconds{0};
}

void CircuitBreaker::succeeded() {
  failed_.clear();
  openings_ = 0;
}

bool CircuitBreaker::failed(const std::string& subject, bool is_the_destinations, SteadyTime now,
                            Entropy& entropy) {
  const Circuit found = state(now);
  if (found == Circuit::half_open) open(now, entropy);
  // While it is open: of several calls at once, those that end after it opened.
  if (found != Circuit::closed) return false;
  failed_.insert(subject);
  if (is_the_destinations || failed_.size() >= failures_) open(now, entropy);
  return true;
}

void CircuitBreaker::open(SteadyTime now, Entropy& entropy) {
  failed_.clear();
  open_until_ = now + backoff_.delay(++openings_, entropy);
}

// --- bandwidth
// -------------------------------------------------------------------------------------

Bandwidth::Bandwidth(std::uint64_t bytes_per_second, SteadyTime now)
    : bytes_per_second_(bytes_per_second),
      allowance_bytes_(static_cast<double>(bytes_per_second)),
      filled_at_(now) {}

Milliseconds Bandwidth::wait(SteadyTime now) {
  if (bytes_per_second_ == 0) return Milliseconds{0};
  const double most = static_cast<double>(bytes_per_second_);
  allowance_bytes_ = std::min(most, allowance_bytes_ + passed_ms(filled_at_, now) * most / 1000.0);
  filled_at_ = now;
  if (allowance_bytes_ >= 0) return Milliseconds{0};
  return in_ms(-allowance_bytes_ / most * 1000.0);
}

// --- errors
// ----------------------------------------------------------------------------------------

bool is_the_destinations(const Error& error) {
  constexpr std::array<std::string_view, 3> kCodes{"http.connect", "store.denied",
                                                   "store.no_bucket"};
  return error.code.starts_with("auth.") || std::ranges::find(kCodes, error.code) != kCodes.end();
}

}  // namespace isthmus
