#include "support/intake_ledger.h"

namespace isthmus::test {

Result<Receipt> IntakeLedger::record(const Arrival& arrival, Durable* bytes) {
  if (bytes != nullptr) TRY(bytes->make_durable());
  if (before_row) before_row();
  std::optional<std::pair<Error, bool>> failure;
  {
    const std::lock_guard lock(mutex_);
    durables_.push_back(bytes);
    failure = std::exchange(next_failure_, std::nullopt);
  }
  if (failure && !failure->second) return failure->first;
  TRY_ASSIGN(const Receipt receipt, MemoryLedger::record(arrival, nullptr));
  if (!receipt.known) {
    const std::lock_guard lock(mutex_);
    arrivals_.emplace(arrival.id, arrival);
  }
  if (failure) return failure->first;
  if (after_row) after_row();
  return receipt;
}

Result<bool> IntakeLedger::has_instance(const InstanceId& id) {
  {
    const std::lock_guard lock(mutex_);
    if (forgotten_.contains(id)) return false;
  }
  return MemoryLedger::has_instance(id);
}

Result<bool> IntakeLedger::names(const SpoolRef& ref) {
  {
    const std::lock_guard lock(mutex_);
    if (forgotten_refs_.contains(ref.text)) return false;
  }
  return MemoryLedger::names(ref);
}

void IntakeLedger::fail_next_record(Error error, bool row_stays) {
  const std::lock_guard lock(mutex_);
  next_failure_.emplace(std::move(error), row_stays);
}

void IntakeLedger::forget(const InstanceId& id) {
  const std::lock_guard lock(mutex_);
  forgotten_.insert(id);
  if (const auto known = arrivals_.find(id); known != arrivals_.end()) {
    forgotten_refs_.insert(known->second.spool_ref.text);
    arrivals_.erase(known);
  }
}

std::vector<Arrival> IntakeLedger::arrivals() const {
  const std::lock_guard lock(mutex_);
  std::vector<Arrival> all;
  for (const auto& [id, arrival] : arrivals_) all.push_back(arrival);
  return all;
}

std::vector<Durable*> IntakeLedger::durables() const {
  const std::lock_guard lock(mutex_);
  return durables_;
}

void IntakeLedger::followed(const Arrival& arrival) {
  const std::lock_guard lock(mutex_);
  arrivals_.emplace(arrival.id, arrival);
}

void IntakeLedger::moved(const InstanceId& instance, const SpoolRef& to) {
  const std::lock_guard lock(mutex_);
  arrivals_.at(instance).spool_ref = to;
}

}  // namespace isthmus::test
