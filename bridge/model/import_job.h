// One attempt to have the service import one staged batch.
#pragma once

#include <optional>
#include <string>

#include "base/env.h"
#include "base/ids.h"
#include "model/transitions.h"

namespace isthmus {

// The row written before a job is started. The same intent always means the same job: it carries
// the idempotency token.
struct ImportIntent {
  ImportJobId id;
  BatchId batch;
  std::string client_token;   // [A-Za-z0-9._-]{1,64}
  std::string job_name;       // layout::job_name
  std::string input_prefix;   // key prefix in the destination's bucket, with a slash at its end
  std::string output_prefix;  // likewise
  WallTime intended_at;
};

// What the service calls the job.
struct RemoteJob {
  std::string id;
  std::string output_prefix;  // key prefix where it says its output is; may be empty until it ends
  bool operator==(const RemoteJob&) const = default;
};

enum class RemoteState { running, succeeded, failed };
struct RemoteStatus {
  RemoteState state = RemoteState::running;
  std::string message;
  std::string output_prefix;
};

struct ImportJob {
  ImportIntent intent;
  ImportJobState state = ImportJobState::intended;
  std::optional<RemoteJob> remote;
  std::string destination;
  std::int64_t polls = 0;
  std::optional<WallTime> started_at;
  std::optional<WallTime> ended_at;
  std::optional<WallTime> next_poll_at;
  std::string message;
};

}  // namespace isthmus
