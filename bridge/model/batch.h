// Deliveries to be imported together, of one destination, under one fresh prefix.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/ids.h"
#include "model/transitions.h"

namespace isthmus {

// Which batches go first. Instances of one lane are never in a batch of the other.
enum class Lane : std::uint8_t {
  routine,
  stat,  // what the site says cannot wait: staged and imported before all the rest
};
constexpr std::string_view to_string(Lane lane) {
  return lane == Lane::stat ? "stat" : "routine";
}
constexpr Lane lane_from(std::string_view word) {
  return word == to_string(Lane::stat) ? Lane::stat : Lane::routine;
}

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
  Lane lane = Lane::routine;
};

}  // namespace isthmus
