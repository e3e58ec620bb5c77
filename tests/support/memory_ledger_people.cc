// MemoryLedger: what people ask for, and the invariants.
#include <algorithm>
#include <set>
#include <tuple>

#include "support/memory_ledger.h"

namespace isthmus::test {

bool MemoryLedger::speaks_of(const DeliveryRow& row, std::string_view uid_or_id) const {
  if (uid_or_id == "all" || row.delivery.id.text() == uid_or_id) return true;
  if (row.delivery.instance.text() == uid_or_id) return true;
  if (row.delivery.batch && row.delivery.batch->text() == uid_or_id) return true;
  const auto found = std::ranges::find_if(instances_, [&](const InstanceRow& candidate) {
    return candidate.instance.id == row.delivery.instance;
  });
  const Instance& instance = found->instance;
  return instance.sop_instance_uid.text() == uid_or_id ||
         instance.series_instance_uid.text() == uid_or_id ||
         instance.study_instance_uid.text() == uid_or_id;
}

Result<std::vector<StateCount>> MemoryLedger::counts() {
  if (auto error = admit("counts")) return *error;
  const Lock lock(mutex_);
  std::map<std::tuple<std::string, std::string, std::string>, StateCount> counted;
  const auto count = [&](std::string subject, const std::string& destination,
                         std::string_view state, WallTime since, bool asks) {
    StateCount& entry = counted[{subject, destination, std::string(state)}];
    entry.subject = subject;
    entry.destination = destination;
    entry.state = state;
    ++entry.count;
    entry.oldest_since = std::min(entry.oldest_since.value_or(since), since);
    entry.asks_for_person = asks;
  };
  for (const DeliveryRow& row : deliveries_) {
    const Delivery& d = row.delivery;
    count("delivery", d.destination, to_string(d.state), d.changed_at, asks_for_person(d.state));
  }
  for (const BatchRow& row : batches_) {
    const Batch& b = row.batch;
    count("batch", b.destination, to_string(b.state), row.changed_at, asks_for_person(b.state));
  }
  for (const JobRow& row : jobs_) {
    count("import_job", row.job.destination, to_string(row.job.state), row.changed_at, false);
  }
  std::vector<StateCount> all;
  for (auto& [key, entry] : counted) all.push_back(entry);
  return all;
}

Result<std::vector<Ask>> MemoryLedger::asks(std::size_t limit) {
  if (auto error = admit("asks")) return *error;
  const Lock lock(mutex_);
  std::vector<Ask> all;
  for (const DeliveryRow& row : deliveries_) {
    const Delivery& d = row.delivery;
    if (!asks_for_person(d.state) || all.size() == limit) continue;
    all.push_back({"delivery", d.id.text(), d.destination, std::string(to_string(d.state)),
                   d.reason_code, d.reason, d.changed_at});
  }
  for (const BatchRow& row : batches_) {
    const Batch& b = row.batch;
    if (!asks_for_person(b.state) || all.size() == limit) continue;
    all.push_back({"batch", b.id.text(), b.destination, std::string(to_string(b.state)),
                   b.reason_code, b.reason, row.changed_at});
  }
  return all;
}

Result<std::vector<HistoryEntry>> MemoryLedger::history(std::string_view uid_or_id,
                                                        std::size_t limit) {
  if (auto error = admit("history")) return *error;
  const Lock lock(mutex_);
  std::set<std::string> ids{std::string(uid_or_id)};
  for (const DeliveryRow& row : deliveries_) {
    if (!speaks_of(row, uid_or_id)) continue;
    ids.insert(row.delivery.id.text());
    ids.insert(row.delivery.instance.text());
    if (row.delivery.batch) ids.insert(row.delivery.batch->text());
  }
  std::vector<HistoryEntry> story;
  for (const HistoryEntry& entry : history_) {
    if (ids.contains(entry.subject_id) && story.size() < limit) story.push_back(entry);
  }
  return story;
}

Result<std::vector<StudySummary>> MemoryLedger::studies(std::size_t limit) {
  if (auto error = admit("studies")) return *error;
  const Lock lock(mutex_);
  std::map<std::pair<Uid, std::string>, StudySummary> found;
  for (const DeliveryRow& row : deliveries_) {
    const Delivery& d = row.delivery;
    const Uid study = find(d.instance)->instance.study_instance_uid;
    StudySummary& summary = found[{study, d.destination}];
    summary.study_instance_uid = study;
    summary.destination = d.destination;
    ++summary.received;
    summary.staged += row.ever_staged ? 1 : 0;
    summary.imported += d.state == DeliveryState::imported ? 1 : 0;
    summary.rejected += d.state == DeliveryState::rejected ? 1 : 0;
    summary.quarantined += d.state == DeliveryState::quarantined ? 1 : 0;
    summary.discarded += d.state == DeliveryState::discarded ? 1 : 0;
    const bool on_its_way = !is_final(d.state) && !asks_for_person(d.state);
    summary.unaccounted += on_its_way && row.unaccounted > 0 ? 1 : 0;
    const auto note = [](std::vector<std::string>& list, const std::string& id) {
      if (!id.empty() && std::ranges::find(list, id) == list.end()) list.push_back(id);
    };
    note(summary.import_job_ids, row.import_job);
    note(summary.image_set_ids, d.image_set_id);
  }
  std::vector<StudySummary> all;
  for (auto& [key, summary] : found) {
    if (all.size() < limit) all.push_back(summary);
  }
  return all;
}

Result<std::vector<InstanceView>> MemoryLedger::instances(std::string_view uid_or_id,
                                                          std::size_t limit) {
  if (auto error = admit("instances")) return *error;
  const Lock lock(mutex_);
  std::vector<InstanceView> views;
  for (const InstanceRow& row : instances_) {
    InstanceView view{row.instance, {}};
    bool meant =
        row.instance.id.text() == uid_or_id || row.instance.sop_instance_uid.text() == uid_or_id;
    for (const DeliveryRow& delivery : deliveries_) {
      if (delivery.delivery.instance != row.instance.id) continue;
      meant = meant || speaks_of(delivery, uid_or_id);
      view.deliveries.push_back(delivery.delivery);
    }
    if (meant && views.size() < limit) views.push_back(std::move(view));
  }
  return views;
}

Result<std::int64_t> MemoryLedger::order_retry(std::string_view uid_or_id_or_all) {
  if (auto error = admit("order_retry")) return *error;
  Lock lock(mutex_);
  std::int64_t moved = 0;
  for (BatchRow& row : batches_) {
    if (row.batch.state != BatchState::stuck) continue;
    const std::vector<DeliveryRow*> rows = members(row.batch.id);
    const bool meant = uid_or_id_or_all == "all" || row.batch.id.text() == uid_or_id_or_all ||
                       std::ranges::any_of(rows, [&](const DeliveryRow* member) {
                         return speaks_of(*member, uid_or_id_or_all);
                       });
    if (!meant) continue;
    abandon(row, "ordered");
    ++moved;
  }
  for (DeliveryRow& row : deliveries_) {
    if (!asks_for_person(row.delivery.state) || !speaks_of(row, uid_or_id_or_all)) continue;
    move(row, DeliveryEvent::retry_ordered, "ordered");
    back_to_waiting(row);
    ++moved;
  }
  changed(std::move(lock));
  return moved;
}

Result<std::int64_t> MemoryLedger::order_discard(std::string_view uid_or_id,
                                                 const std::string& reason) {
  if (auto error = admit("order_discard")) return *error;
  Lock lock(mutex_);
  std::int64_t moved = 0;
  for (DeliveryRow& row : deliveries_) {
    if (!asks_for_person(row.delivery.state) || !speaks_of(row, uid_or_id)) continue;
    move(row, DeliveryEvent::discard_ordered, reason);
    row.delivery.reason_code = "discarded";
    row.delivery.reason = reason;
    ++moved;
  }
  changed(std::move(lock));
  return moved;
}

Result<std::vector<std::string>> MemoryLedger::check() {
  if (auto error = admit("check")) return *error;
  const Lock lock(mutex_);
  std::vector<std::string> findings;
  for (const DeliveryRow& row : deliveries_) {
    const Delivery& d = row.delivery;
    if (is_final(d.state) || asks_for_person(d.state)) continue;
    const BatchRow* batch = d.batch ? find(*d.batch) : nullptr;
    const bool carried = batch != nullptr && !is_final(batch->batch.state);
    if (d.state == DeliveryState::waiting ? !d.next_attempt_at : !carried) {
      findings.push_back("I2: delivery " + d.id.text() + " has no date");
    }
  }
  for (const BatchRow& row : batches_) {
    const Batch& b = row.batch;
    if (b.state == BatchState::reconciled) {
      std::int64_t outcomes = 0;
      for (const auto& [kind, count] : row.outcomes) outcomes += count;
      if (outcomes != b.members) findings.push_back("I4: batch " + b.id.text());
    }
    if (is_final(b.state) || asks_for_person(b.state) || b.next_attempt_at) continue;
    const bool watched = std::ranges::any_of(jobs_, [&](const JobRow& job) {
      return job.job.intent.batch == b.id && job.job.next_poll_at;
    });
    if (!watched) findings.push_back("I2: batch " + b.id.text() + " has no date");
  }
  return findings;
}

}  // namespace isthmus::test
