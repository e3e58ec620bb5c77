#include "pipeline/step.h"

#include <algorithm>

namespace isthmus {

Milliseconds Backoff::delay(std::int64_t attempt, Entropy& entropy) const {
  // Full jitter: those who failed together must not come back together. The floor keeps a row that
  // is unlucky with the dice from being tried in a tight loop.
  constexpr Milliseconds kLeast{50};
  Milliseconds most = std::min(first, longest);
  for (std::int64_t doubled = 1; doubled < attempt && most < longest; ++doubled) {
    most = most > longest / 2 ? longest : most * 2;
  }
  const double drawn = unit_random(entropy) * static_cast<double>(most.count());
  return std::max(kLeast, Milliseconds{static_cast<std::int64_t>(drawn)});
}

}  // namespace isthmus
