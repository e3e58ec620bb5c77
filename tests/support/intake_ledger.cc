#include "support/intake_ledger.h"

namespace isthmus::test {

Result<Receipt> IntakeLedger::record(const Arrival& arrival, Durable* bytes) {
  if (before_bytes) before_bytes();
  if (bytes != nullptr) TRY(bytes->make_durable());
  if (before_row) before_row();
  Receipt receipt{arrival.id, false};
  {
    const std::lock_guard lock(mutex_);
    durables_.push_back(bytes);
    const auto failure = std::exchange(next_failure_, std::nullopt);
    if (failure && !failure->second) return failure->first;
    const auto [known, is_new] =
        known_.try_emplace({arrival.identity.sop_instance_uid, arrival.dataset_digest}, arrival.id);
    if (is_new) {
      rows_.emplace(arrival.id, arrival);
    } else {
      receipt = {known->second, true};
    }
    if (failure) return failure->first;
  }
  if (after_row) after_row();
  return receipt;
}

Result<bool> IntakeLedger::has_instance(const InstanceId& id) {
  const std::lock_guard lock(mutex_);
  return rows_.contains(id);
}

Result<std::optional<Instance>> IntakeLedger::instance(const InstanceId& id) {
  const std::lock_guard lock(mutex_);
  const auto row = rows_.find(id);
  if (row == rows_.end()) return std::optional<Instance>();
  const Arrival& arrival = row->second;
  Instance instance;
  instance.id = arrival.id;
  instance.sop_class_uid = arrival.identity.sop_class_uid;
  instance.sop_instance_uid = arrival.identity.sop_instance_uid;
  instance.series_instance_uid = arrival.identity.series_instance_uid;
  instance.study_instance_uid = arrival.identity.study_instance_uid;
  instance.modality = arrival.identity.modality;
  instance.origin = arrival.origin;
  instance.transfer_syntax_uid = arrival.transfer_syntax_uid;
  instance.size_bytes = arrival.size_bytes;
  instance.dataset_offset_bytes = arrival.dataset_offset_bytes;
  instance.dataset_digest = arrival.dataset_digest;
  instance.file_digest = arrival.file_digest;
  instance.spool_ref = arrival.spool_ref;
  instance.received_at = arrival.received_at;
  return std::optional<Instance>(std::move(instance));
}

void IntakeLedger::fail_next_record(Error error, bool row_stays) {
  const std::lock_guard lock(mutex_);
  next_failure_.emplace(std::move(error), row_stays);
}

std::vector<Arrival> IntakeLedger::arrivals() const {
  const std::lock_guard lock(mutex_);
  std::vector<Arrival> all;
  for (const auto& [id, arrival] : rows_) all.push_back(arrival);
  return all;
}

std::vector<Durable*> IntakeLedger::durables() const {
  const std::lock_guard lock(mutex_);
  return durables_;
}

void IntakeLedger::forget(const InstanceId& id) {
  const std::lock_guard lock(mutex_);
  const auto row = rows_.find(id);
  if (row == rows_.end()) return;
  known_.erase({row->second.identity.sop_instance_uid, row->second.dataset_digest});
  rows_.erase(row);
}

}  // namespace isthmus::test
