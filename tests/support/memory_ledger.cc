#include "support/memory_ledger.h"

#include <algorithm>
#include <set>

namespace isthmus::test {
namespace {

Error no_transition(std::string what) {
  return permanent_error("ledger.no_transition", "The state table does not have it: " + what + ".");
}
Error not_found(std::string what) {
  return permanent_error("ledger.not_found", "There is no such " + what + ".");
}
std::string why_of(const Error& error) {
  return error.code + ": " + error.message;
}

template <typename Rows, typename Date>
std::optional<WallTime> earliest(const Rows& rows, Date date_of) {
  std::optional<WallTime> first;
  for (const auto& row : rows) {
    const std::optional<WallTime> date = date_of(row);
    if (date && (!first || *date < *first)) first = date;
  }
  return first;
}

}  // namespace

// --- teeth
// -----------------------------------------------------------------------------------------

void MemoryLedger::reopen() {
  const Lock lock(mutex_);
  stopped_ = false;
  notify_ = nullptr;
  for (JobRow& row : jobs_) {
    if (row.job.state == ImportJobState::intended) row.inherited = true;
  }
}

void MemoryLedger::set_hook(Hook hook) {
  const Lock lock(mutex_);
  hook_ = std::move(hook);
}

void MemoryLedger::refuse(std::string call, Error error, int times) {
  const Lock lock(mutex_);
  for (int i = 0; i < times; ++i) refusals_.emplace_back(call, error);
}

std::size_t MemoryLedger::intents() const {
  const Lock lock(mutex_);
  return jobs_.size();
}

std::vector<ImportJob> MemoryLedger::jobs() const {
  const Lock lock(mutex_);
  std::vector<ImportJob> jobs;
  for (const JobRow& row : jobs_) jobs.push_back(row.job);
  return jobs;
}

std::optional<Delivery> MemoryLedger::delivery(const DeliveryId& id) const {
  const Lock lock(mutex_);
  for (const DeliveryRow& row : deliveries_) {
    if (row.delivery.id == id) return row.delivery;
  }
  return std::nullopt;
}

std::optional<Error> MemoryLedger::admit(std::string_view call) {
  Hook hook;
  {
    const Lock lock(mutex_);
    if (stopped_) return transient_error("ledger.closed", "The ledger is stopping.");
    const auto refusal =
        std::ranges::find_if(refusals_, [&](const auto& entry) { return entry.first == call; });
    if (refusal != refusals_.end()) {
      const Error error = refusal->second;
      refusals_.erase(refusal);
      return error;
    }
    hook = hook_;
  }
  return hook ? hook(call) : std::nullopt;
}

void MemoryLedger::changed(Lock lock) {
  const std::function<void()> notify = notify_;
  lock.unlock();
  if (notify) notify();
}

void MemoryLedger::on_change(std::function<void()> notify) {
  const Lock lock(mutex_);
  notify_ = std::move(notify);
}

void MemoryLedger::stop() {
  const Lock lock(mutex_);
  stopped_ = true;
}

// --- rows
// ------------------------------------------------------------------------------------------

MemoryLedger::DeliveryRow* MemoryLedger::find(const DeliveryId& id) {
  const auto row =
      std::ranges::find_if(deliveries_, [&](const auto& r) { return r.delivery.id == id; });
  return row == deliveries_.end() ? nullptr : &*row;
}
MemoryLedger::BatchRow* MemoryLedger::find(const BatchId& id) {
  const auto row = std::ranges::find_if(batches_, [&](const auto& r) { return r.batch.id == id; });
  return row == batches_.end() ? nullptr : &*row;
}
MemoryLedger::JobRow* MemoryLedger::find(const ImportJobId& id) {
  const auto row =
      std::ranges::find_if(jobs_, [&](const auto& r) { return r.job.intent.id == id; });
  return row == jobs_.end() ? nullptr : &*row;
}
MemoryLedger::InstanceRow* MemoryLedger::find(const InstanceId& id) {
  const auto row =
      std::ranges::find_if(instances_, [&](const auto& r) { return r.instance.id == id; });
  return row == instances_.end() ? nullptr : &*row;
}

std::vector<MemoryLedger::DeliveryRow*> MemoryLedger::members(const BatchId& batch) {
  std::vector<DeliveryRow*> rows;
  for (DeliveryRow& row : deliveries_) {
    if (row.delivery.batch == batch) rows.push_back(&row);
  }
  return rows;
}

std::set<std::string> MemoryLedger::uids_of(const std::vector<DeliveryRow*>& rows) {
  std::set<std::string> uids;
  for (const DeliveryRow* row : rows) {
    uids.insert(find(row->delivery.instance)->instance.sop_instance_uid.text());
  }
  return uids;
}

bool MemoryLedger::move(DeliveryRow& row, DeliveryEvent event, std::string why) {
  const auto to = next(row.delivery.state, event);
  if (!to) return false;
  write_history("delivery", row.delivery.id.text(), to_string(event), to_string(row.delivery.state),
                to_string(*to), std::move(why));
  row.delivery.state = *to;
  row.delivery.changed_at = now();
  return true;
}
bool MemoryLedger::move(BatchRow& row, BatchEvent event, std::string why) {
  const auto to = next(row.batch.state, event);
  if (!to) return false;
  write_history("batch", row.batch.id.text(), to_string(event), to_string(row.batch.state),
                to_string(*to), std::move(why));
  row.batch.state = *to;
  row.changed_at = now();
  return true;
}
bool MemoryLedger::move(JobRow& row, ImportJobEvent event, std::string why) {
  const auto to = next(row.job.state, event);
  if (!to) return false;
  write_history("import_job", row.job.intent.id.text(), to_string(event), to_string(row.job.state),
                to_string(*to), std::move(why));
  row.job.state = *to;
  row.changed_at = now();
  return true;
}

void MemoryLedger::write_history(std::string subject, const std::string& id, std::string_view event,
                                 std::string_view from, std::string_view to, std::string why) {
  history_.push_back({now(), std::move(subject), id, std::string(event), std::string(from),
                      std::string(to), std::move(why)});
}

// --- batcher
// ---------------------------------------------------------------------------------------

Result<std::vector<WaitingDelivery>> MemoryLedger::waiting_deliveries(std::string_view destination,
                                                                      WallTime at,
                                                                      std::size_t limit) {
  if (auto error = admit("waiting_deliveries")) return *error;
  const Lock lock(mutex_);
  std::vector<WaitingDelivery> due;
  for (const DeliveryRow& row : deliveries_) {
    const Delivery& d = row.delivery;
    if (d.destination != destination || d.state != DeliveryState::waiting || d.batch) continue;
    if (!d.next_attempt_at || *d.next_attempt_at > at || due.size() == limit) continue;
    const Instance& instance = find(d.instance)->instance;
    due.push_back({d.id, instance.study_instance_uid, instance.size_bytes, instance.received_at,
                   d.attempts, instance.origin.calling_ae_title, instance.origin.called_ae_title,
                   instance.modality});
  }
  return due;
}

Result<std::optional<WallTime>> MemoryLedger::next_waiting_at(std::string_view destination) {
  if (auto error = admit("next_waiting_at")) return *error;
  const Lock lock(mutex_);
  return earliest(deliveries_, [&](const DeliveryRow& row) -> std::optional<WallTime> {
    const Delivery& d = row.delivery;
    const bool counts =
        d.destination == destination && d.state == DeliveryState::waiting && !d.batch;
    return counts ? d.next_attempt_at : std::nullopt;
  });
}

Result<std::vector<Batch>> MemoryLedger::batches(std::string_view destination, BatchState state,
                                                 std::size_t limit) {
  if (auto error = admit("batches")) return *error;
  const Lock lock(mutex_);
  std::vector<Batch> found;
  for (const BatchRow& row : batches_) {
    if (row.batch.destination != destination || row.batch.state != state) continue;
    if (found.size() < limit) found.push_back(row.batch);
  }
  return found;
}

Result<std::optional<Batch>> MemoryLedger::batch(const BatchId& id) {
  if (auto error = admit("batch")) return *error;
  const Lock lock(mutex_);
  const BatchRow* row = find(id);
  return row == nullptr ? std::nullopt : std::optional<Batch>(row->batch);
}

Result<BatchId> MemoryLedger::join(std::string_view destination,
                                   const std::optional<BatchId>& batch,
                                   const std::vector<DeliveryId>& deliveries, Lane lane) {
  if (auto error = admit("join")) return *error;
  Lock lock(mutex_);
  if (deliveries.empty()) return not_found("delivery");
  for (const DeliveryId& id : deliveries) {
    const DeliveryRow* row = find(id);
    if (row == nullptr) return not_found("delivery");
    const Delivery& d = row->delivery;
    if (d.state != DeliveryState::waiting || d.batch || d.destination != destination) {
      return no_transition("join of a delivery that is not free");
    }
  }
  if (batch && find(*batch) == nullptr) return not_found("batch");
  if (batch && find(*batch)->batch.state != BatchState::open) return no_transition("join");
  if (!batch) {
    BatchRow& made = batches_.emplace_back();
    made.batch.id = BatchId::make(env_);
    made.batch.destination = destination;
    made.batch.lane = lane;
    made.batch.study_instance_uid =
        find(find(deliveries.front())->delivery.instance)->instance.study_instance_uid;
    made.batch.opened_at = made.changed_at = now();
    write_history("batch", made.batch.id.text(), "opened", "", "open", "");
  }
  BatchRow& row = batch ? *find(*batch) : batches_.back();
  for (const DeliveryId& id : deliveries) {
    DeliveryRow& member = *find(id);
    member.delivery.batch = row.batch.id;
    ++row.batch.members;
    const Instance& instance = find(member.delivery.instance)->instance;
    row.batch.size_bytes += instance.size_bytes;
    if (row.batch.study_instance_uid != instance.study_instance_uid) {
      row.batch.study_instance_uid = Uid();
    }
  }
  row.batch.last_joined_at = now();
  row.batch.next_attempt_at = now();
  const BatchId id = row.batch.id;
  changed(std::move(lock));
  return id;
}

Result<void> MemoryLedger::advance(const BatchId& batch, BatchEvent event, const Error* why) {
  if (auto error = admit("advance")) return *error;
  Lock lock(mutex_);
  BatchRow* row = find(batch);
  if (row == nullptr) return not_found("batch");
  const std::string reason = why == nullptr ? "" : why_of(*why);
  const bool plain = event == BatchEvent::seal || event == BatchEvent::give_up ||
                     event == BatchEvent::retry_ordered;
  if (!plain || !next(row->batch.state, event)) return no_transition(std::string(to_string(event)));
  if (event == BatchEvent::retry_ordered) {
    abandon(*row, reason);
  } else {
    move(*row, event, reason);
  }
  if (event == BatchEvent::give_up) {
    row->batch.next_attempt_at.reset();
    row->batch.reason_code = why == nullptr ? "" : why->code;
    row->batch.reason = why == nullptr ? "" : why->message;
  }
  changed(std::move(lock));
  return {};
}

// A stuck batch is given up: its members may join another, its intent is not to be started any
// more.
void MemoryLedger::abandon(BatchRow& row, const std::string& why) {
  move(row, BatchEvent::retry_ordered, why);
  row.batch.next_attempt_at.reset();
  for (DeliveryRow* member : members(row.batch.id)) {
    if (member->delivery.state == DeliveryState::staged) {
      move(*member, DeliveryEvent::batch_abandoned, why);
    }
    back_to_waiting(*member);
  }
  for (JobRow& job : jobs_) {
    if (job.job.intent.batch == row.batch.id) move(job, ImportJobEvent::not_found, why);
  }
}

void MemoryLedger::back_to_waiting(DeliveryRow& row) {
  row.delivery.batch.reset();
  row.delivery.attempts = 0;
  row.unaccounted = 0;
  row.delivery.next_attempt_at = now();
  row.delivery.reason_code.clear();
  row.delivery.reason.clear();
}

// --- stager
// ----------------------------------------------------------------------------------------

std::vector<const MemoryLedger::BatchRow*> MemoryLedger::stat_first() const {
  std::vector<const BatchRow*> rows;
  for (const BatchRow& row : batches_) rows.push_back(&row);
  std::ranges::stable_partition(rows,
                                [](const BatchRow* row) { return row->batch.lane == Lane::stat; });
  return rows;
}

Result<std::vector<StagingItem>> MemoryLedger::staging_items(std::string_view destination,
                                                             WallTime at, std::size_t limit) {
  if (auto error = admit("staging_items")) return *error;
  const Lock lock(mutex_);
  std::vector<StagingItem> items;
  for (const BatchRow* first : stat_first()) {
    const BatchRow& batch = *first;
    if (batch.batch.destination != destination || batch.batch.state != BatchState::sealed) continue;
    for (const DeliveryRow* row : members(batch.batch.id)) {
      const Delivery& d = row->delivery;
      if (d.state != DeliveryState::waiting || !d.next_attempt_at) continue;
      if (*d.next_attempt_at > at || items.size() == limit) continue;
      const Instance& instance = find(d.instance)->instance;
      items.push_back({d.id, batch.batch.id, d.instance, instance.spool_ref, instance.size_bytes,
                       instance.file_digest, d.attempts, instance.dataset_digest,
                       instance.dataset_offset_bytes, batch.batch.lane});
    }
  }
  return items;
}

Result<std::optional<WallTime>> MemoryLedger::next_staging_at(std::string_view destination) {
  if (auto error = admit("next_staging_at")) return *error;
  const Lock lock(mutex_);
  return earliest(deliveries_, [&](const DeliveryRow& row) -> std::optional<WallTime> {
    const Delivery& d = row.delivery;
    if (d.destination != destination || d.state != DeliveryState::waiting || !d.batch) return {};
    return find(*d.batch)->batch.state == BatchState::sealed ? d.next_attempt_at : std::nullopt;
  });
}

Result<void> MemoryLedger::mark_staged(const DeliveryId& delivery, const std::string& etag) {
  if (auto error = admit("mark_staged")) return *error;
  Lock lock(mutex_);
  DeliveryRow* row = find(delivery);
  if (row == nullptr) return not_found("delivery");
  const bool in_sealed =
      row->delivery.batch && find(*row->delivery.batch)->batch.state == BatchState::sealed;
  if (!in_sealed || !move(*row, DeliveryEvent::object_confirmed, "etag " + etag)) {
    return no_transition("object_confirmed");
  }
  row->ever_staged = true;
  row->delivery.next_attempt_at.reset();
  row->delivery.reason_code.clear();
  row->delivery.reason.clear();
  changed(std::move(lock));
  return {};
}

Result<void> MemoryLedger::postpone(const DeliveryId& delivery, const Error& error, WallTime next) {
  if (auto refused = admit("postpone")) return *refused;
  Lock lock(mutex_);
  DeliveryRow* row = find(delivery);
  if (row == nullptr) return not_found("delivery");
  if (row->delivery.state != DeliveryState::waiting) return no_transition("postpone");
  ++row->delivery.attempts;
  row->delivery.next_attempt_at = next;
  row->delivery.reason_code = error.code;
  row->delivery.reason = error.message;
  changed(std::move(lock));
  return {};
}

void MemoryLedger::leave_batch(DeliveryRow& row) {
  if (!row.delivery.batch) return;
  BatchRow& batch = *find(*row.delivery.batch);
  --batch.batch.members;
  batch.batch.size_bytes -= find(row.delivery.instance)->instance.size_bytes;
  row.delivery.batch.reset();
}

Result<void> MemoryLedger::quarantine(const DeliveryId& delivery, DeliveryEvent event,
                                      const Error& reason) {
  if (auto error = admit("quarantine")) return *error;
  Lock lock(mutex_);
  DeliveryRow* row = find(delivery);
  if (row == nullptr) return not_found("delivery");
  const bool known =
      event == DeliveryEvent::attempts_exhausted || event == DeliveryEvent::input_unusable;
  if (!known || !move(*row, event, why_of(reason))) return no_transition("quarantine");
  leave_batch(*row);
  row->delivery.next_attempt_at.reset();
  row->delivery.reason_code = reason.code;
  row->delivery.reason = reason.message;
  changed(std::move(lock));
  return {};
}

Result<std::vector<BatchId>> MemoryLedger::conclude_staging(std::string_view destination) {
  if (auto error = admit("conclude_staging")) return *error;
  Lock lock(mutex_);
  std::vector<BatchId> staged;
  std::set<std::string> named;
  bool any = false;
  for (BatchRow& row : batches_) {
    if (row.batch.destination != destination || row.batch.state != BatchState::sealed) continue;
    const std::vector<DeliveryRow*> rows = members(row.batch.id);
    if (std::ranges::any_of(rows, [](const DeliveryRow* member) {
          return member->delivery.state == DeliveryState::waiting;
        })) {
      continue;
    }
    any = true;
    if (rows.empty()) {
      move(row, BatchEvent::emptied, "");
      row.batch.next_attempt_at.reset();
    } else {
      move(row, BatchEvent::all_staged, "");
      row.batch.next_attempt_at = now();
      staged.push_back(row.batch.id);
      named.merge(uids_of(rows));
    }
  }
  if (any) changed(std::move(lock));
  if (!named.empty()) commitments_.look_now(named);
  return staged;
}

// --- sweeper
// ---------------------------------------------------------------------------------------

Result<std::vector<Batch>> MemoryLedger::batches_with_objects(std::string_view destination,
                                                              WallTime ended_before,
                                                              std::size_t limit) {
  if (auto error = admit("batches_with_objects")) return *error;
  const Lock lock(mutex_);
  std::vector<Batch> found;
  for (const BatchRow& row : batches_) {
    if (row.batch.destination != destination || row.objects_removed) continue;
    if (!is_final(row.batch.state) || row.changed_at > ended_before) continue;
    if (found.size() < limit) found.push_back(row.batch);
  }
  return found;
}

Result<void> MemoryLedger::note_objects_removed(const BatchId& batch) {
  if (auto error = admit("note_objects_removed")) return *error;
  Lock lock(mutex_);
  BatchRow* row = find(batch);
  if (row == nullptr) return not_found("batch");
  if (!is_final(row->batch.state)) return no_transition("objects of a living batch removed");
  row->objects_removed = true;
  changed(std::move(lock));
  return {};
}

std::optional<WallTime> MemoryLedger::all_imported_since(const InstanceId& instance) const {
  std::optional<WallTime> since;
  for (const DeliveryRow& row : deliveries_) {
    if (row.delivery.instance != instance) continue;
    if (!is_final(row.delivery.state)) return std::nullopt;
    since = std::max(since.value_or(row.delivery.changed_at), row.delivery.changed_at);
  }
  return since;
}

Result<std::vector<Sweepable>> MemoryLedger::sweepable(WallTime imported_before,
                                                       std::size_t limit) {
  if (auto error = admit("sweepable")) return *error;
  const Lock lock(mutex_);
  std::vector<Sweepable> found;
  for (const InstanceRow& row : instances_) {
    if (row.freeing || row.instance.freed_at || found.size() == limit) continue;
    const auto since = all_imported_since(row.instance.id);
    if (since && *since <= imported_before) {
      found.push_back({row.instance.id, row.instance.spool_ref});
    }
  }
  return found;
}

Result<SpoolRef> MemoryLedger::claim_freeing(const InstanceId& instance) {
  if (auto error = admit("claim_freeing")) return *error;
  Lock lock(mutex_);
  InstanceRow* row = find(instance);
  if (row == nullptr) return not_found("instance");
  if (row->freeing || row->instance.freed_at || !all_imported_since(instance)) {
    return no_transition("claim of an instance that is not to be freed");
  }
  row->freeing = true;
  const SpoolRef ref = row->instance.spool_ref;
  changed(std::move(lock));
  return ref;
}

Result<void> MemoryLedger::note_freed(const InstanceId& instance) {
  if (auto error = admit("note_freed")) return *error;
  Lock lock(mutex_);
  InstanceRow* row = find(instance);
  if (row == nullptr) return not_found("instance");
  if (!row->freeing) return no_transition("freed without a claim");
  row->freeing = false;
  row->instance.freed_at = now();
  changed(std::move(lock));
  return {};
}

Result<std::vector<Sweepable>> MemoryLedger::being_freed() {
  if (auto error = admit("being_freed")) return *error;
  const Lock lock(mutex_);
  std::vector<Sweepable> found;
  for (const InstanceRow& row : instances_) {
    if (row.freeing) found.push_back({row.instance.id, row.instance.spool_ref});
  }
  return found;
}

}  // namespace isthmus::test
