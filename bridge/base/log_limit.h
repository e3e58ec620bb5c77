// Keeps a flood of refusals from filling the log: some lines at once, then one a second, and each
// says how many were left out before it. Counters count all of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/env.h"

namespace isthmus {

// One thread at a time.
class LogLimit {
 public:
  static constexpr std::int64_t kAtOnce = 20;
  static constexpr Milliseconds kEvery{1'000};

  // Nothing: leave this one out. Else how many were left out since the last that was not.
  std::optional<std::uint64_t> admit(SteadyTime now) {
    const std::int64_t earned = last_ ? (now - *last_) / kEvery : kAtOnce;
    if (earned > 0) {
      left_ = std::min(kAtOnce, left_ + earned);
      last_ = last_ && left_ < kAtOnce ? *last_ + earned * kEvery : now;
    }
    if (left_ == 0) {
      ++omitted_;
      return std::nullopt;
    }
    --left_;
    return std::exchange(omitted_, 0);
  }

 private:
  std::optional<SteadyTime> last_;
  std::int64_t left_ = 0;
  std::uint64_t omitted_ = 0;
};

}  // namespace isthmus
