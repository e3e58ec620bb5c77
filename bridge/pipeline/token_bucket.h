// The pace of calls that a service's quota allows. Private to the pipeline. One thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/env.h"

namespace isthmus {

// Keeps within "so many calls a second, so many at once". In memory: after a restart the burst may
// be had once more, which costs a throttled call at worst.
class TokenBucket {
 public:
  TokenBucket(double per_second, std::int64_t burst, SteadyTime now)
      : per_ms_(std::max(per_second, 0.001) / 1000.0),
        most_(static_cast<double>(std::max<std::int64_t>(burst, 1))),
        tokens_(most_),
        filled_at_(now) {}

  // How long until a call may be made; 0 is now.
  Milliseconds wait(SteadyTime now) {
    const auto passed = static_cast<double>((now - filled_at_).count());
    tokens_ = std::min(most_, tokens_ + passed * per_ms_);
    filled_at_ = now;
    if (tokens_ >= 1.0) return Milliseconds{0};
    return Milliseconds{static_cast<std::int64_t>((1.0 - tokens_) / per_ms_) + 1};
  }
  void take() { tokens_ -= 1.0; }

 private:
  const double per_ms_;
  const double most_;
  double tokens_;
  SteadyTime filled_at_;
};

}  // namespace isthmus
