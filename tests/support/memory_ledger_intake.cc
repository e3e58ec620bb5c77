// The part of the MemoryLedger that receivers and the spool ask.
#include <algorithm>

#include "support/memory_ledger.h"

namespace isthmus::test {

Result<Receipt> MemoryLedger::record(const Arrival& arrival, Durable* bytes) {
  if (auto error = admit("record")) return *error;
  if (bytes != nullptr) TRY(bytes->make_durable());
  Lock lock(mutex_);
  const Receipt receipt = make_row(arrival);
  changed(std::move(lock));
  return receipt;
}

Receipt MemoryLedger::make_row(const Arrival& arrival) {
  const InstanceRow* first = nullptr;
  for (InstanceRow& row : instances_) {
    if (row.instance.sop_instance_uid != arrival.identity.sop_instance_uid) continue;
    if (row.instance.dataset_digest == arrival.dataset_digest) return receive_again(row, arrival);
    if (first == nullptr) first = &row;
  }
  InstanceRow row{
      {arrival.id, arrival.identity.sop_class_uid, arrival.identity.sop_instance_uid,
       arrival.identity.series_instance_uid, arrival.identity.study_instance_uid,
       arrival.identity.modality, arrival.origin, arrival.transfer_syntax_uid, arrival.size_bytes,
       arrival.dataset_offset_bytes, arrival.dataset_digest, arrival.file_digest, arrival.spool_ref,
       arrival.received_at, std::nullopt, false, std::nullopt},
      arrival.identity.patient_id,
      false};
  if (first != nullptr) {
    row.instance.conflicts_with = first->instance.id;
    row.instance.identity_conflict =
        first->patient_id != row.patient_id ||
        first->instance.study_instance_uid != row.instance.study_instance_uid;
  }
  instances_.push_back(row);
  write_history("instance", arrival.id.text(), "received", "", "", "");
  for (const std::string& destination : destinations_of(arrival, destinations_)) {
    add_delivery(row, destination);
  }
  return Receipt{arrival.id, false};
}

void MemoryLedger::add_delivery(const InstanceRow& row, const std::string& destination) {
  const Instance& instance = row.instance;
  DeliveryRow& delivery = deliveries_.emplace_back();
  delivery.delivery.id = DeliveryId::make(env_);
  delivery.delivery.instance = instance.id;
  delivery.delivery.destination = destination;
  delivery.delivery.next_attempt_at = now();
  delivery.delivery.changed_at = now();
  const bool has_other_bytes = std::ranges::any_of(instances_, [&](const InstanceRow& other) {
    return other.instance.sop_instance_uid == instance.sop_instance_uid &&
           other.instance.dataset_digest != instance.dataset_digest;
  });
  const bool quarantines_conflicts =
      std::ranges::find(quarantine_conflicts_at_, destination) != quarantine_conflicts_at_.end();
  if (!instance.identity_conflict && !(has_other_bytes && quarantines_conflicts)) return;
  const char* const why = instance.identity_conflict ? "identity_conflict" : "conflict";
  move(delivery, DeliveryEvent::input_unusable, why);
  delivery.delivery.reason_code = why;
  delivery.delivery.next_attempt_at.reset();
}

Receipt MemoryLedger::receive_again(InstanceRow& row, const Arrival& arrival) {
  Instance& instance = row.instance;
  const bool is_going = row.freeing || instance.freed_at;
  Receipt receipt{instance.id, true, instance.spool_ref == arrival.spool_ref && !is_going};
  const auto take_bytes = [&] {
    instance.spool_ref = arrival.spool_ref;
    instance.transfer_syntax_uid = arrival.transfer_syntax_uid;
    instance.size_bytes = arrival.size_bytes;
    instance.dataset_offset_bytes = arrival.dataset_offset_bytes;
    instance.file_digest = arrival.file_digest;
    moved(instance.id, arrival.spool_ref);
    receipt.bytes_taken = true;
  };
  const bool held_elsewhere = !is_going && !receipt.bytes_taken;
  for (DeliveryRow& row_of_delivery : deliveries_) {
    Delivery& delivery = row_of_delivery.delivery;
    const bool lacks_bytes =
        delivery.state == DeliveryState::quarantined &&
        (delivery.reason_code == "spool.not_found" || delivery.reason_code == "spool.damaged" ||
         delivery.reason_code == "store.bad_digest");
    if (!held_elsewhere || delivery.instance != instance.id || !lacks_bytes) continue;
    if (!receipt.bytes_taken) {
      take_bytes();
      write_history("instance", instance.id.text(), "received_again", "", "received",
                    "bytes_replaced");
    }
    move(row_of_delivery, DeliveryEvent::retry_ordered, "");
    back_to_waiting(row_of_delivery);
  }
  std::string added;
  for (const std::string& destination : destinations_of(arrival, destinations_)) {
    const auto had = std::ranges::find_if(deliveries_, [&](const DeliveryRow& delivery) {
      return delivery.delivery.instance == instance.id &&
             delivery.delivery.destination == destination;
    });
    if (had != deliveries_.end() && had->delivery.state != DeliveryState::discarded) continue;
    if (had == deliveries_.end()) {
      add_delivery(row, destination);
    } else {
      move(*had, DeliveryEvent::received_again, "discarded_before");
      had->delivery.reason_code = "discarded_before";
    }
    added += destination + " ";
  }
  if (added.empty()) return receipt;
  if (is_going) {
    row.freeing = false;
    instance.freed_at.reset();
    take_bytes();
  }
  write_history("instance", instance.id.text(), "received_again", "", "received", added);
  return receipt;
}

Result<bool> MemoryLedger::has_instance(const InstanceId& id) {
  if (auto error = admit("has_instance")) return *error;
  const Lock lock(mutex_);
  return find(id) != nullptr;
}

Result<std::optional<Instance>> MemoryLedger::instance(const InstanceId& id) {
  if (auto error = admit("instance")) return *error;
  const Lock lock(mutex_);
  const InstanceRow* row = find(id);
  return row == nullptr ? std::nullopt : std::optional<Instance>(row->instance);
}

}  // namespace isthmus::test
