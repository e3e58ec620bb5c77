// Deliveries to be imported together, of one destination, under one fresh prefix.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/env.h"
#include "base/ids.h"
#include "model/transitions.h"

namespace isthmus {

struct Batch {
  BatchId id;
  std::string destination;
  Uid study_instance_uid;  // of its first member; "" once batches are shared by studies
  BatchState state = BatchState::open;
  std::int64_t members = 0;
  std::uint64_t size_bytes = 0;
  std::int64_t attempts = 0;  // import jobs that failed as a whole, and failed calls in a row
  WallTime opened_at;
  WallTime last_joined_at;
  std::optional<WallTime> next_attempt_at;
  std::string reason_code;
  std::string reason;
};

}  // namespace isthmus
