#include "datastore/api/throttle.h"

#include <algorithm>

namespace isthmus::datastore {

Throttle::Throttle(Clock& clock, double per_second, double burst)
    : clock_(clock),
      per_second_(per_second),
      burst_(std::max(1.0, burst > 0 ? burst : 2 * per_second)),
      tokens_(burst_),
      filled_at_(clock.steady_now()) {}

bool Throttle::pass() {
  if (per_second_ <= 0) return true;
  const std::lock_guard lock(mutex_);
  const SteadyTime now = clock_.steady_now();
  const double passed_s = std::chrono::duration<double>(now - filled_at_).count();
  filled_at_ = now;
  tokens_ = std::min(burst_, tokens_ + passed_s * per_second_);
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

}  // namespace isthmus::datastore
