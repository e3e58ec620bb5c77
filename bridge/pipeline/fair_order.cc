#include "pipeline/fair_order.h"

#include <algorithm>
#include <map>
#include <utility>

namespace isthmus {
namespace {

constexpr Milliseconds kYounger = std::chrono::minutes(1);

}  // namespace

void put_in_fair_order(std::vector<Batch>& batches, const std::map<Uid, int>& gone) {
  std::ranges::stable_sort(batches, {}, &Batch::opened_at);
  std::map<Uid, int> earlier = gone;  // batches of the study
  std::vector<std::pair<WallTime, Batch>> ranked;
  for (Batch& batch : batches) {
    const bool is_shared = batch.study_instance_uid == Uid();
    const int rank = is_shared ? 0 : earlier[batch.study_instance_uid]++;
    const WallTime counts_as = batch.opened_at + rank * kYounger;
    ranked.emplace_back(counts_as, std::move(batch));
  }
  std::ranges::stable_sort(ranked, {}, &std::pair<WallTime, Batch>::first);
  std::ranges::transform(ranked, batches.begin(), [](auto& one) { return std::move(one.second); });
  std::ranges::stable_partition(batches, [](const Batch& b) { return b.lane == Lane::stat; });
}

}  // namespace isthmus
