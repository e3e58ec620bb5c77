#include "support/memory_metadata_service.h"

namespace isthmus::test {
namespace {

Error stale() {
  return permanent_error("metadata.stale", "The version is not the newest one.");
}

Error unknown() {
  return permanent_error("metadata.not_found", "There is no such image set.");
}

}  // namespace

MemoryMetadataService::Place MemoryMetadataService::place_of(const AttributeChange& change) {
  return {change.level, change.series_instance_uid, change.sop_instance_uid, change.key};
}

std::optional<Error> MemoryMetadataService::admit(Call call, const std::string& image_set) {
  Hook hook;
  {
    const std::lock_guard lock(mutex_);
    ++calls_[call];
    hook = hook_;
    auto& waiting = refusals_[call];
    if (!waiting.empty()) {
      Error error = waiting.front();
      waiting.erase(waiting.begin());
      return error;
    }
  }
  return hook ? hook(call, image_set) : std::nullopt;
}

Result<ImageSetStatus> MemoryMetadataService::status(const std::string& image_set_id) {
  if (auto error = admit(Call::status, image_set_id)) return std::move(*error);
  const std::lock_guard lock(mutex_);
  ImageSetStatus status;
  const auto found = sets_.find(image_set_id);
  if (found == sets_.end()) {
    status.phase = ImageSetStatus::Phase::gone;
    return status;
  }
  Set& set = found->second;
  status.version = static_cast<std::int64_t>(set.versions.size());
  status.primary = set.primary;
  if (set.locked || set.polls_left > 0) {
    status.phase = ImageSetStatus::Phase::changing;
    if (set.polls_left > 0) --set.polls_left;
    return status;
  }
  status.update_failed = set.failed;
  return status;
}

Result<MetadataValues> MemoryMetadataService::values(const std::string& image_set_id,
                                                     std::int64_t version,
                                                     const MetadataChange& change) {
  if (auto error = admit(Call::values, image_set_id)) return std::move(*error);
  const std::lock_guard lock(mutex_);
  const auto found = sets_.find(image_set_id);
  const auto last =
      found == sets_.end() ? 0 : static_cast<std::int64_t>(found->second.versions.size());
  if (version < 1 || version > last) return unknown();
  const Document& document = found->second.versions[static_cast<std::size_t>(version - 1)];
  MetadataValues values;
  for (const AttributeChange& one : change.attributes) {
    const auto stored = document.find(place_of(one));
    values.push_back(stored == document.end() ? std::nullopt : std::optional(stored->second));
  }
  return values;
}

Result<std::vector<MemoryMetadataService::Set*>> MemoryMetadataService::changeable(
    const std::string& image_set, std::int64_t seen, bool include_study) {
  const auto found = sets_.find(image_set);
  if (found == sets_.end()) return unknown();
  std::vector<Set*> sets{&found->second};
  if (seen != static_cast<std::int64_t>(found->second.versions.size())) return stale();
  for (auto& [id, set] : sets_) {
    const bool along = set.primary && set.study == found->second.study && id != image_set;
    if (include_study && along) sets.push_back(&set);
  }
  for (const Set* set : sets) {
    if (set->locked || set->polls_left > 0) {
      return transient_error("metadata.busy", "The image set is locked.");
    }
  }
  return sets;
}

void MemoryMetadataService::accept(Set& set, Document next) {
  set.failed = failing_ > 0;
  if (set.failed) next = set.versions.back();
  set.versions.push_back(std::move(next));
  set.polls_left = polls_until_done_;
  ++set.accepted;
}

Result<std::int64_t> MemoryMetadataService::answer(std::int64_t version) {
  if (failing_ > 0) --failing_;
  if (lost_ == 0) return version;
  --lost_;
  return transient_error("metadata.unavailable", "The answer was lost.");
}

Result<std::int64_t> MemoryMetadataService::update(const std::string& image_set_id,
                                                   const MetadataUpdate& update,
                                                   std::int64_t seen) {
  if (auto error = admit(Call::update, image_set_id)) return std::move(*error);
  const std::lock_guard lock(mutex_);
  TRY_ASSIGN(const std::vector<Set*> sets,
             changeable(image_set_id, seen, update.include_study_image_sets));
  std::vector<Document> next;
  for (const Set* set : sets) {
    Document document = set->versions.back();
    for (std::size_t i = 0; i < update.change.attributes.size(); ++i) {
      const AttributeChange& one = update.change.attributes[i];
      const Place place = place_of(one);
      if (one.action == AttributeAction::set) {
        document[place] = *one.value;
      } else if (update.stored[i]) {
        const auto stored = document.find(place);
        if (stored == document.end() || stored->second != *update.stored[i]) {
          return permanent_error("metadata.invalid", "A removal does not quote what is stored.");
        }
        document.erase(stored);
      }
    }
    next.push_back(std::move(document));
  }
  for (std::size_t i = 0; i < sets.size(); ++i) accept(*sets[i], std::move(next[i]));
  return answer(seen + 1);
}

Result<std::int64_t> MemoryMetadataService::revert(const std::string& image_set_id, std::int64_t to,
                                                   std::int64_t seen) {
  if (auto error = admit(Call::revert, image_set_id)) return std::move(*error);
  const std::lock_guard lock(mutex_);
  TRY_ASSIGN(const std::vector<Set*> sets, changeable(image_set_id, seen, false));
  if (to < 1 || to >= seen) return unknown();
  Document earlier = sets.front()->versions[static_cast<std::size_t>(to - 1)];
  accept(*sets.front(), std::move(earlier));
  return answer(seen + 1);
}

void MemoryMetadataService::add(const std::string& image_set_id, const std::string& study,
                                bool primary, Document document) {
  const std::lock_guard lock(mutex_);
  Set& set = sets_[image_set_id];
  set.study = study;
  set.primary = primary;
  set.versions.push_back(std::move(document));
}

void MemoryMetadataService::remove(const std::string& image_set_id) {
  const std::lock_guard lock(mutex_);
  sets_.erase(image_set_id);
}

void MemoryMetadataService::change_outside(const std::string& image_set_id, const Place& place,
                                           std::optional<std::string> value) {
  const std::lock_guard lock(mutex_);
  Set& set = sets_.at(image_set_id);
  Document next = set.versions.back();
  if (value) {
    next[place] = *value;
  } else {
    next.erase(place);
  }
  set.versions.push_back(std::move(next));
  set.failed = false;
}

void MemoryMetadataService::lock(const std::string& image_set_id, bool locked) {
  const std::lock_guard lock(mutex_);
  sets_.at(image_set_id).locked = locked;
}

void MemoryMetadataService::set_hook(Hook hook) {
  const std::lock_guard lock(mutex_);
  hook_ = std::move(hook);
}

void MemoryMetadataService::refuse(Call call, Error error, int times) {
  const std::lock_guard lock(mutex_);
  refusals_[call].insert(refusals_[call].end(), static_cast<std::size_t>(times), error);
}

void MemoryMetadataService::lose_answers(int times) {
  const std::lock_guard lock(mutex_);
  lost_ = times;
}

void MemoryMetadataService::set_polls_until_done(int polls) {
  const std::lock_guard lock(mutex_);
  polls_until_done_ = polls;
}

void MemoryMetadataService::fail_updates(int times) {
  const std::lock_guard lock(mutex_);
  failing_ = times;
}

std::optional<std::string> MemoryMetadataService::value(const std::string& image_set_id,
                                                        const Place& place) const {
  const std::lock_guard lock(mutex_);
  const Document& document = sets_.at(image_set_id).versions.back();
  const auto found = document.find(place);
  if (found == document.end()) return std::nullopt;
  return found->second;
}

std::int64_t MemoryMetadataService::version(const std::string& image_set_id) const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::int64_t>(sets_.at(image_set_id).versions.size());
}

int MemoryMetadataService::accepted(const std::string& image_set_id) const {
  const std::lock_guard lock(mutex_);
  return sets_.at(image_set_id).accepted;
}

int MemoryMetadataService::calls(Call call) const {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(call);
  return found == calls_.end() ? 0 : found->second;
}

}  // namespace isthmus::test
