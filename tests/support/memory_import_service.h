// An ImportService in memory, with teeth: it refuses and throttles, loses the answer of a start
// that happened, fails whole jobs, says nothing about some files, and is late with its manifest.
// Any thread.
//
// With a bucket, a job imports what lay under its input prefix when it was started, as a cloud
// does: an expected object that came later or never is unaccounted. Without one, everything
// expected was there.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "imports/import_service.h"
#include "support/memory_object_store.h"

namespace isthmus::test {

class MemoryImportService : public ImportService {
 public:
  enum class Call { start, find, status, outcomes };
  // Asked before each call, without a lock held; an error is given to the caller, and nothing
  // happens.
  using Hook = std::function<std::optional<Error>(Call)>;

  // What the output says of a file. `missing` is in none of the files; `unaccounted` failed on the
  // service's own side (InternalServerException).
  enum class Said { imported, rejected, unaccounted, missing };
  struct Verdict {
    Said said = Said::imported;
    std::string reason_code = {};  // default: "ValidationException", "InternalServerException"
    std::string reason = {};
    std::optional<bool> primary = true;
    std::vector<OutcomeWarning> warnings = {};
  };

  explicit MemoryImportService(ImportLimits limits = {}, MemoryObjectStore* bucket = nullptr)
      : limits_(limits), bucket_(bucket) {}

  ImportLimits limits() const override { return limits_; }
  Result<RemoteJob> start(const ImportIntent& intent) override;
  Result<std::optional<RemoteJob>> find(const ImportIntent& intent) override;
  Result<RemoteStatus> status(const RemoteJob& job) override;
  Result<std::vector<Outcome>> outcomes(const RemoteJob& job,
                                        std::span<const Expected> expected) override;

  // --- teeth
  // --------------------------------------------------------------------------------------
  void set_hook(Hook hook);
  // The next `times` calls of this kind fail with `error` and do nothing.
  void refuse(Call call, Error error, int times = 1);
  // The next `times` starts happen, and are answered with `error`.
  void lose_answer_of_start(Error error, int times = 1);
  // Jobs started from now on are seen running this often before they end.
  void set_polls_until_end(int polls);
  // The next `times` jobs to be started will end as failed.
  void fail_jobs(int times, std::string message);
  // Jobs started from now on answer outcomes() this often with "import.output_missing".
  void set_late_manifests(int times);
  // Of the object with this key, in every job.
  void say(const ObjectKey& key, Verdict verdict);
  // Of every object without a verdict of its own.
  void say_by_default(Verdict verdict);
  // The service no longer knows the job: status and outcomes are "import.not_found", find finds
  // nothing.
  void forget(const RemoteJob& job);

  // --- looking in
  // ---------------------------------------------------------------------------------
  struct Job {
    RemoteJob remote;
    ImportIntent intent;  // of the first start
    bool failed = false;
    bool ended = false;
    int starts = 0;  // calls with its token
  };
  // In the order of their first start.
  std::vector<Job> jobs() const;
  // In how many jobs that ended well the service imported this key. Needs outcomes() to have been
  // asked or a bucket to be given.
  int imported_times(const ObjectKey& key) const;
  int calls(Call call) const;

  static Error throttled();    // "import.throttled", transient, with a Retry-After of 1 s
  static Error unavailable();  // "import.unavailable", transient

 private:
  struct Record {
    Job job;
    std::string failure;  // empty: it ends well
    int polls_left = 0;
    int late_manifests = 0;
    std::optional<std::set<std::string>> inputs;  // known with a bucket
    std::set<std::string> imported;
  };
  struct Refusal {
    Error error;
    int times = 0;
  };
  std::optional<Error> admit(Call call);
  Record* record_of(const RemoteJob& job);  // lock held
  Verdict verdict_of(const std::string& key) const;
  void note_imports(Record& record);
  Outcome outcome_of(Record& record, const Expected& expected);

  const ImportLimits limits_;
  MemoryObjectStore* const bucket_;
  mutable std::mutex mutex_;
  std::vector<Record> records_;
  std::set<std::string> forgotten_;
  std::map<Call, std::vector<Refusal>> refusals_;
  std::vector<Refusal> lost_starts_;
  std::map<Call, int> calls_;
  std::map<std::string, Verdict> verdicts_;
  Verdict default_verdict_;
  Hook hook_;
  int polls_until_end_ = 1;
  int late_manifests_ = 0;
  int failing_jobs_ = 0;
  std::string failure_message_;
};

}  // namespace isthmus::test
