// The part of the MemoryLedger that a receiver inside another archive asks
// (ledger/receiver_rows.h).
#include <algorithm>

#include "support/memory_ledger.h"

namespace isthmus::test {

Result<std::optional<std::string>> MemoryLedger::mark(std::string_view name) {
  if (auto error = admit("mark")) return *error;
  const Lock lock(mutex_);
  const auto found = marks_.find(name);
  if (found == marks_.end()) return std::optional<std::string>();
  return std::optional<std::string>(found->second);
}

Result<void> MemoryLedger::keep_mark(std::string_view name, std::string_view value) {
  if (auto error = admit("keep_mark")) return *error;
  const Lock lock(mutex_);
  marks_[std::string(name)] = value;
  return {};
}

Result<void> MemoryLedger::note_untaken(const UntakenInstance& untaken) {
  if (auto error = admit("note_untaken")) return *error;
  const Lock lock(mutex_);
  const auto [row, is_new] = untaken_.try_emplace(untaken.archive_id, untaken);
  if (!is_new) {
    row->second.code = untaken.code;
    row->second.message = untaken.message;
  }
  return {};
}

Result<void> MemoryLedger::forget_untaken(std::string_view archive_id) {
  if (auto error = admit("forget_untaken")) return *error;
  const Lock lock(mutex_);
  if (const auto row = untaken_.find(archive_id); row != untaken_.end()) untaken_.erase(row);
  return {};
}

Result<std::vector<UntakenInstance>> MemoryLedger::untaken(std::size_t limit) {
  if (auto error = admit("untaken")) return *error;
  const Lock lock(mutex_);
  std::vector<UntakenInstance> all;
  for (const auto& [id, row] : untaken_) all.push_back(row);
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.since < b.since; });
  if (all.size() > limit) all.resize(limit);
  return all;
}

Result<NewsPage> MemoryLedger::news(std::string_view receiver, std::int64_t after,
                                    std::size_t limit) {
  if (auto error = admit("news")) return *error;
  const Lock lock(mutex_);
  NewsPage page;
  const auto newest = static_cast<std::int64_t>(history_.size());
  page.reached = std::max(after, std::min(newest, after + static_cast<std::int64_t>(limit)));
  for (std::int64_t position = after + 1; position <= page.reached; ++position) {
    const HistoryEntry& entry = history_[static_cast<std::size_t>(position - 1)];
    const bool at_rest = entry.to_state == "imported" || entry.to_state == "rejected" ||
                         entry.to_state == "quarantined" || entry.to_state == "discarded";
    const auto id = DeliveryId::parse(entry.subject_id);
    DeliveryRow* row = entry.subject == "delivery" && at_rest && id ? find(*id) : nullptr;
    InstanceRow* instance = row != nullptr ? find(row->delivery.instance) : nullptr;
    if (instance == nullptr || instance->instance.origin.receiver != receiver) continue;
    page.news.push_back({position, instance->instance.sop_instance_uid,
                         instance->instance.study_instance_uid, row->delivery.destination,
                         entry.to_state, row->delivery.reason_code, row->delivery.image_set_id,
                         row->import_job, entry.at});
  }
  return page;
}

}  // namespace isthmus::test
