// What an import said about one instance.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "model/layout.h"

namespace isthmus {

enum class OutcomeKind {
  imported,     // the service names it as imported
  rejected,     // the service refused it for good, with a reason
  unaccounted,  // the service says nothing about it, or says it failed on its own side: try again
};
std::string_view to_string(OutcomeKind kind);

struct OutcomeWarning {
  std::int64_t code = 0;
  std::string type;
  std::string message;
  bool operator==(const OutcomeWarning&) const = default;
};

// One instance of a batch, as the import service will know it.
struct Expected {
  DeliveryId delivery;
  ObjectKey key;
  Uid sop_instance_uid;
  // Imports so far that did not account for it, since the last retry order. Failed uploads are not
  // counted here: trouble with the bucket must not use up what a late manifest needs.
  std::int64_t attempts = 0;
};

struct Outcome {
  DeliveryId delivery;
  OutcomeKind kind = OutcomeKind::unaccounted;
  std::string reason_code;   // "ValidationException"; empty when imported
  std::string reason;        // the service's own words, cut at 500 characters
  std::string image_set_id;  // imported only
  std::optional<std::int64_t> image_set_version;
  std::optional<bool> primary;  // nothing when the service does not say
  std::vector<OutcomeWarning> warnings;
};

}  // namespace isthmus
