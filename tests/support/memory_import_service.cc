#include "support/memory_import_service.h"

#include <algorithm>

namespace isthmus::test {

namespace {

Error not_found() {
  return permanent_error("import.not_found", "The service knows no such job.");
}

bool same_request(const ImportIntent& a, const ImportIntent& b) {
  return a.job_name == b.job_name && a.input_prefix == b.input_prefix &&
         a.output_prefix == b.output_prefix;
}

}  // namespace

Error MemoryImportService::throttled() {
  Error error = transient_error("import.throttled", "The import service asks for fewer calls.");
  error.retry_after = Milliseconds(1000);
  return error;
}

Error MemoryImportService::unavailable() {
  return transient_error("import.unavailable", "The import service does not answer.");
}

std::optional<Error> MemoryImportService::admit(Call call) {
  Hook hook;
  {
    const std::lock_guard lock(mutex_);
    ++calls_[call];
    std::vector<Refusal>& queue = refusals_[call];
    if (!queue.empty()) {
      const Error error = queue.front().error;
      if (--queue.front().times <= 0) queue.erase(queue.begin());
      return error;
    }
    hook = hook_;
  }
  return hook ? hook(call) : std::nullopt;
}

MemoryImportService::Record* MemoryImportService::record_of(const RemoteJob& job) {
  if (forgotten_.contains(job.id)) return nullptr;
  const auto found = std::ranges::find_if(
      records_, [&](const Record& record) { return record.job.remote.id == job.id; });
  return found == records_.end() ? nullptr : &*found;
}

Result<RemoteJob> MemoryImportService::start(const ImportIntent& intent) {
  if (auto error = admit(Call::start)) return *error;
  std::optional<std::set<std::string>> inputs;
  if (bucket_ != nullptr) {
    inputs.emplace();
    for (const ObjectKey& key : bucket_->keys()) {
      if (key.text.starts_with(intent.input_prefix)) inputs->insert(key.text);
    }
  }
  const std::lock_guard lock(mutex_);
  auto found = std::ranges::find_if(records_, [&](const Record& record) {
    return record.job.intent.client_token == intent.client_token;
  });
  if (found == records_.end()) {
    Record record;
    const std::string id = "job" + std::to_string(records_.size() + 1);
    record.job = {{id, intent.output_prefix + "ds-DicomImport-" + id + "/"}, intent};
    record.inputs = std::move(inputs);
    record.polls_left = polls_until_end_;
    record.late_manifests = late_manifests_;
    if (failing_jobs_ > 0) {
      --failing_jobs_;
      record.failure = failure_message_.empty() ? "The job failed." : failure_message_;
    }
    records_.push_back(std::move(record));
    found = std::prev(records_.end());
  } else if (!same_request(found->job.intent, intent)) {
    return permanent_error("import.conflict", "The token was used for another request.");
  }
  ++found->job.starts;
  if (!lost_starts_.empty()) {
    const Error error = lost_starts_.front().error;
    if (--lost_starts_.front().times <= 0) lost_starts_.erase(lost_starts_.begin());
    return error;
  }
  return found->job.remote;
}

Result<std::optional<RemoteJob>> MemoryImportService::find(const ImportIntent& intent) {
  if (auto error = admit(Call::find)) return *error;
  const std::lock_guard lock(mutex_);
  for (const Record& record : records_) {
    if (record.job.intent.job_name == intent.job_name &&
        !forgotten_.contains(record.job.remote.id)) {
      return std::optional<RemoteJob>(record.job.remote);
    }
  }
  return std::optional<RemoteJob>();
}

Result<RemoteStatus> MemoryImportService::status(const RemoteJob& job) {
  if (auto error = admit(Call::status)) return *error;
  const std::lock_guard lock(mutex_);
  Record* const record = record_of(job);
  if (record == nullptr) return not_found();
  RemoteStatus answer{RemoteState::running, "", record->job.remote.output_prefix};
  if (record->polls_left > 0) {
    --record->polls_left;
    return answer;
  }
  record->job.ended = true;
  record->job.failed = !record->failure.empty();
  answer.state = record->job.failed ? RemoteState::failed : RemoteState::succeeded;
  answer.message = record->failure;
  if (!record->job.failed) note_imports(*record);
  return answer;
}

void MemoryImportService::note_imports(Record& record) {
  if (!record.inputs.has_value()) return;
  for (const std::string& key : *record.inputs) {
    if (verdict_of(key).said == Said::imported) record.imported.insert(key);
  }
}

MemoryImportService::Verdict MemoryImportService::verdict_of(const std::string& key) const {
  const auto found = verdicts_.find(key);
  return found == verdicts_.end() ? default_verdict_ : found->second;
}

Outcome MemoryImportService::outcome_of(Record& record, const Expected& expected) {
  Outcome outcome;
  outcome.delivery = expected.delivery;
  const Verdict verdict = verdict_of(expected.key.text);
  const bool was_there = !record.inputs.has_value() || record.inputs->contains(expected.key.text);
  if (!was_there || verdict.said == Said::missing) {
    outcome.reason_code = "import.not_mentioned";
    outcome.reason = "The job's output does not name this file.";
    return outcome;
  }
  outcome.reason_code = verdict.reason_code;
  outcome.reason = verdict.reason.substr(0, 500);
  if (verdict.said == Said::imported) {
    outcome.kind = OutcomeKind::imported;
    outcome.image_set_id = "imageset-" + record.job.remote.id;
    outcome.image_set_version = 1;
    outcome.primary = verdict.primary;
    outcome.warnings = verdict.warnings;
    record.imported.insert(expected.key.text);
  } else if (verdict.said == Said::rejected) {
    outcome.kind = OutcomeKind::rejected;
    if (outcome.reason_code.empty()) outcome.reason_code = "ValidationException";
  } else if (outcome.reason_code.empty()) {
    outcome.reason_code = "InternalServerException";
  }
  return outcome;
}

Result<std::vector<Outcome>> MemoryImportService::outcomes(const RemoteJob& job,
                                                           std::span<const Expected> expected) {
  if (auto error = admit(Call::outcomes)) return *error;
  const std::lock_guard lock(mutex_);
  Record* const record = record_of(job);
  if (record == nullptr) return not_found();
  if (!record->job.ended || record->job.failed || record->late_manifests > 0) {
    if (record->job.ended) --record->late_manifests;
    return transient_error("import.output_missing", "The job's manifest is not in the bucket yet.");
  }
  std::vector<Outcome> all;
  for (const Expected& one : expected) all.push_back(outcome_of(*record, one));
  return all;
}

void MemoryImportService::set_hook(Hook hook) {
  const std::lock_guard lock(mutex_);
  hook_ = std::move(hook);
}

void MemoryImportService::refuse(Call call, Error error, int times) {
  const std::lock_guard lock(mutex_);
  refusals_[call].push_back({std::move(error), times});
}

void MemoryImportService::lose_answer_of_start(Error error, int times) {
  const std::lock_guard lock(mutex_);
  lost_starts_.push_back({std::move(error), times});
}

void MemoryImportService::set_polls_until_end(int polls) {
  const std::lock_guard lock(mutex_);
  polls_until_end_ = polls;
}

void MemoryImportService::fail_jobs(int times, std::string message) {
  const std::lock_guard lock(mutex_);
  failing_jobs_ = times;
  failure_message_ = std::move(message);
}

void MemoryImportService::set_late_manifests(int times) {
  const std::lock_guard lock(mutex_);
  late_manifests_ = times;
}

void MemoryImportService::say(const ObjectKey& key, Verdict verdict) {
  const std::lock_guard lock(mutex_);
  verdicts_[key.text] = std::move(verdict);
}

void MemoryImportService::say_by_default(Verdict verdict) {
  const std::lock_guard lock(mutex_);
  default_verdict_ = std::move(verdict);
}

void MemoryImportService::forget(const RemoteJob& job) {
  const std::lock_guard lock(mutex_);
  forgotten_.insert(job.id);
}

std::vector<MemoryImportService::Job> MemoryImportService::jobs() const {
  const std::lock_guard lock(mutex_);
  std::vector<Job> all;
  for (const Record& record : records_) all.push_back(record.job);
  return all;
}

int MemoryImportService::imported_times(const ObjectKey& key) const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(std::ranges::count_if(
      records_, [&](const Record& record) { return record.imported.contains(key.text); }));
}

int MemoryImportService::calls(Call call) const {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(call);
  return found == calls_.end() ? 0 : found->second;
}

}  // namespace isthmus::test
