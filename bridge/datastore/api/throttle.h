// A token bucket: so many calls a second, with a burst.
#pragma once

#include <mutex>

#include "base/env.h"

namespace isthmus::datastore {

// Any thread.
class Throttle {
 public:
  // per_second 0: every call passes. Without a burst of its own: twice that, at least one.
  Throttle(Clock& clock, double per_second, double burst = 0);
  // Takes a token, if there is one.
  bool pass();

 private:
  Clock& clock_;
  const double per_second_, burst_;
  std::mutex mutex_;
  double tokens_;
  SteadyTime filled_at_;
};

}  // namespace isthmus::datastore
