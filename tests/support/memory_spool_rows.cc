// The part of the MemoryLedger that a segmented spool asks (ledger/spool_rows.h).
#include <algorithm>

#include "support/memory_ledger.h"

namespace isthmus::test {

Result<SpoolPosition> MemoryLedger::position() {
  if (auto error = admit("position")) return *error;
  const Lock lock(mutex_);
  return position_;
}

Result<std::vector<Receipt>> MemoryLedger::follow(std::span<const Arrival> arrivals,
                                                  const SpoolPosition& reached) {
  if (auto error = admit("follow")) return *error;
  Lock lock(mutex_);
  std::vector<Receipt> receipts;
  for (const Arrival& arrival : arrivals) {
    if (find(arrival.id) != nullptr) {
      receipts.push_back({arrival.id, false});
      continue;
    }
    receipts.push_back(make_row(arrival));
    if (!receipts.back().known) followed(arrival);
  }
  position_ = reached;
  changed(std::move(lock));
  return receipts;
}

Result<bool> MemoryLedger::move(const InstanceId& instance, const SpoolRef& from,
                                const SpoolRef& to) {
  if (auto error = admit("move")) return *error;
  Lock lock(mutex_);
  InstanceRow* row = find(instance);
  const bool ours =
      row != nullptr && row->instance.spool_ref == from && !row->freeing && !row->instance.freed_at;
  if (ours) {
    row->instance.spool_ref = to;
    moved(instance, to);
  }
  return ours;
}

Result<bool> MemoryLedger::names(const SpoolRef& ref) {
  if (auto error = admit("names")) return *error;
  const Lock lock(mutex_);
  return std::ranges::any_of(instances_, [&](const InstanceRow& row) {
    return !row.instance.freed_at && row.instance.spool_ref == ref;
  });
}

Result<std::vector<HeldInstance>> MemoryLedger::held(std::string_view after,
                                                     std::string_view before, std::size_t limit) {
  if (auto error = admit("held")) return *error;
  const Lock lock(mutex_);
  std::vector<HeldInstance> found;
  for (const InstanceRow& row : instances_) {
    const Instance& instance = row.instance;
    if (instance.freed_at || instance.spool_ref.text <= after ||
        instance.spool_ref.text >= before) {
      continue;
    }
    found.push_back({instance.id, instance.spool_ref, instance.size_bytes});
  }
  std::ranges::sort(found, {}, [](const HeldInstance& held) { return held.spool_ref.text; });
  if (found.size() > limit) found.resize(limit);
  return found;
}

void MemoryLedger::note_freed_unasked(const InstanceId& instance) {
  const Lock lock(mutex_);
  if (InstanceRow* row = find(instance)) row->instance.freed_at = now();
}

}  // namespace isthmus::test
