// A cloud service that imports DICOM from a bucket in jobs.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/env.h"
#include "model/import_job.h"
#include "model/outcome.h"

namespace isthmus {

struct ImportLimits {
  std::int64_t files_per_job = 5000;
  std::uint64_t bytes_per_job = 10'000'000'000;
  std::int64_t jobs_at_once = 100;
  double starts_per_second = 1.0;
  std::int64_t start_burst = 2;
  double polls_per_second = 25;
  std::int64_t poll_burst = 50;
};

// Any thread. Errors: "import.throttled" (too many calls), "import.quota" (too many jobs at once),
// "import.unavailable" (transient), "import.denied",
// "import.invalid", "import.not_found", "import.conflict" (permanent), "import.output_missing"
// (transient: the manifest is late), "import.output_unreadable" (permanent), and those of Transport
// and ObjectStore.
class ImportService {
 public:
  virtual ~ImportService() = default;
  virtual ImportLimits limits() const = 0;
  // Same intent, same job: the intent's token travels with the call.
  virtual Result<RemoteJob> start(const ImportIntent& intent) = 0;
  // Did a start() whose answer was lost happen? By the intent's job name.
  virtual Result<std::optional<RemoteJob>> find(const ImportIntent& intent) = 0;
  virtual Result<RemoteStatus> status(const RemoteJob& job) = 0;
  // Exactly one outcome for each expected instance, in their order, from the job's own output: what
  // it does not name is unaccounted. `job.output_prefix` is where the service says its output is.
  virtual Result<std::vector<Outcome>> outcomes(const RemoteJob& job,
                                                std::span<const Expected> expected) = 0;
};

}  // namespace isthmus
