#include "datastore/engine/fair_share.h"

#include <algorithm>

namespace isthmus::datastore {

bool FairShare::may_take(const std::string& who) const {
  if (free_ == 0) return false;
  const std::size_t held = shares_.at(who).held;
  return std::ranges::none_of(shares_, [held](const auto& other) {
    return other.second.waiting > 0 && other.second.held < held;
  });
}

std::size_t FairShare::waiting() {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const auto& [who, share] : shares_) count += share.waiting;
  return count;
}

void FairShare::take(const std::string& who) {
  std::unique_lock lock(mutex_);
  ++shares_[who].waiting;
  changed_.wait(lock, [&] { return may_take(who); });
  Share& share = shares_[who];
  --share.waiting;
  ++share.held;
  --free_;
  lock.unlock();
  // Who waited behind this one may be next.
  changed_.notify_all();
}

void FairShare::give_back(const std::string& who) {
  {
    const std::lock_guard lock(mutex_);
    const auto share = shares_.find(who);
    ++free_;
    if (--share->second.held == 0 && share->second.waiting == 0) shares_.erase(share);
  }
  changed_.notify_all();
}

}  // namespace isthmus::datastore
