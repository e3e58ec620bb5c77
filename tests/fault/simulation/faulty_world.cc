#include "fault/simulation/faulty_world.h"

namespace isthmus::test {

std::optional<int> Storm::strikes(Dice& dice, double chance) {
  if (chance <= 0) return std::nullopt;
  if (left_ == 0 && dice.chance(chance)) left_ = dice.between(3, 25);
  if (left_ == 0) return std::nullopt;
  --left_;
  return dice.between(0, 2);
}

// --- bucket
// ----------------------------------------------------------------------------------------

std::optional<Error> FaultyStore::refusal() {
  if (const auto answer = storm_.strikes(dice_, faults_.storm)) {
    return *answer == 0 ? MemoryObjectStore::unavailable() : MemoryObjectStore::slow_down();
  }
  if (!dice_.chance(faults_.refuse)) return std::nullopt;
  return dice_.chance(0.5) ? MemoryObjectStore::slow_down() : MemoryObjectStore::unavailable();
}

Result<StoredObject> FaultyStore::put(const ObjectKey& key, std::shared_ptr<ByteSource> bytes,
                                      const Digest& expected) {
  if (auto error = refusal()) return *error;
  if (faults_.cut > 0 && dice_.chance(faults_.cut)) {
    TRY(bytes->rewind());
    Bytes half(static_cast<std::size_t>(bytes->size() / 2));
    TRY(bytes->read(half));
    return transient_error("http.closed", "The connection was cut.");
  }
  if (dice_.chance(faults_.repeat)) ignore(inner_.put(key, bytes, expected), "arrives twice");
  TRY_ASSIGN(const StoredObject stored, inner_.put(key, bytes, expected));
  if (const auto instance = layout::instance_of(key)) keys_of_[*instance].insert(key);
  if (faults_.wrong_checksum > 0 && dice_.chance(faults_.wrong_checksum)) {
    return permanent_error("store.protocol", "The bucket stored it under another checksum.");
  }
  if (dice_.chance(faults_.lose_answer)) return MemoryObjectStore::unavailable();
  return stored;
}

Result<void> FaultyStore::list(std::string_view prefix,
                               const std::function<bool(const StoredObject&)>& each) {
  if (auto error = refusal()) return *error;
  const auto known = listings_.find(prefix);
  const bool stale = faults_.stale_listing > 0 && dice_.chance(faults_.stale_listing);
  std::vector<StoredObject> listing;
  if (stale && known != listings_.end()) {
    listing = known->second;
  } else {
    TRY(inner_.list(prefix, [&](const StoredObject& object) {
      listing.push_back(object);
      return true;
    }));
    listings_[std::string(prefix)] = listing;
  }
  for (const StoredObject& object : listing) {
    if (!each(object)) break;
  }
  return {};
}

Result<void> FaultyStore::remove(const ObjectKey& key) {
  if (auto error = refusal()) return *error;
  if (dice_.chance(faults_.repeat)) ignore(inner_.remove(key), "arrives twice");
  TRY(inner_.remove(key));
  if (dice_.chance(faults_.lose_answer)) return MemoryObjectStore::unavailable();
  return {};
}

// --- import service
// --------------------------------------------------------------------------------

std::optional<Error> FaultyService::refusal() {
  if (const auto answer = storm_.strikes(dice_, faults_.storm)) {
    return *answer == 2 ? MemoryImportService::throttled() : MemoryImportService::unavailable();
  }
  if (!dice_.chance(faults_.refuse)) return std::nullopt;
  return dice_.chance(0.3) ? MemoryImportService::throttled() : MemoryImportService::unavailable();
}

Result<RemoteJob> FaultyService::start(const ImportIntent& intent) {
  asked_.insert(intent.id);
  if (known_.contains(intent.id)) started_unasked_.push_back(intent.id);
  if (auto error = refusal()) return *error;
  if (dice_.chance(faults_.start_denied)) {
    return permanent_error("import.denied", "The role may not import.");
  }
  inner_.set_polls_until_end(dice_.between(0, 4));
  inner_.set_late_manifests(dice_.chance(faults_.manifest_late) ? dice_.between(1, 4) : 0);
  inner_.fail_jobs(dice_.chance(faults_.job_fails) ? 1 : 0, "Internal error.");
  if (dice_.chance(faults_.repeat)) ignore(inner_.start(intent), "arrives twice");
  TRY_ASSIGN(const RemoteJob job, inner_.start(intent));
  seen_.push_back(intent);
  batch_of_[job.id] = intent.batch;
  if (!output_of_.contains(job.id)) {
    output_of_[job.id] = dice_.chance(faults_.manifest_never)        ? Output::never
                         : dice_.chance(faults_.manifest_unreadable) ? Output::unreadable
                                                                     : Output::readable;
    if (dice_.chance(faults_.job_is_forgotten)) {
      inner_.forget(job);
    } else {
      known_.insert(intent.id);
    }
  }
  if (dice_.chance(faults_.lose_answer)) return MemoryImportService::unavailable();
  return job;
}

void FaultyService::replay_an_old_start() {
  if (seen_.empty()) return;
  const auto last = static_cast<int>(seen_.size()) - 1;
  const ImportIntent intent = seen_[static_cast<std::size_t>(dice_.between(0, last))];
  ignore(inner_.start(intent), "nobody waits for this answer any more");
}

Result<std::optional<RemoteJob>> FaultyService::find(const ImportIntent& intent) {
  if (auto error = refusal()) return *error;
  return inner_.find(intent);
}

Result<RemoteStatus> FaultyService::status(const RemoteJob& job) {
  if (auto error = refusal()) return *error;
  if (dice_.chance(faults_.not_found_yet)) {
    return permanent_error("import.not_found", "The service knows no such job.");
  }
  return inner_.status(job);
}

Result<std::vector<Outcome>> FaultyService::outcomes(const RemoteJob& job,
                                                     std::span<const Expected> expected) {
  if (auto error = refusal()) return *error;
  const Output output = output_of_[job.id];
  if (output == Output::readable) return inner_.outcomes(job, expected);
  unread_.insert(batch_of_[job.id]);
  if (output == Output::never) return transient_error("import.output_missing", "Not there yet.");
  return permanent_error("import.output_unreadable", "The manifest is not JSON.");
}

void FaultyService::draw_verdict(const ObjectKey& key) {
  using Said = MemoryImportService::Said;
  if (dice_.chance(faults_.rejected)) {
    inner_.say(key, {Said::rejected, "ValidationException", "Bad frame count."});
  } else if (dice_.chance(faults_.unaccounted)) {
    inner_.say(key, {dice_.chance(0.5) ? Said::missing : Said::unaccounted});
  }
}

}  // namespace isthmus::test
