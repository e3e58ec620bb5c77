// Updates of metadata on their way: what was ordered, by whom, and how far each image set is. An
// update is of one study at one destination; updates of one study are done one after the other, in
// the order in which they were ordered.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/ids.h"
#include "model/metadata.h"
#include "model/transitions.h"

namespace isthmus {

using MetadataUpdateId = Id<struct MetadataUpdateTag>;
using MetadataOrderId = Id<struct MetadataOrderTag>;

enum class MetadataUpdateKind {
  change,  // of all image sets that hold what the change speaks of
  exact,   // of one image set, as UpdateImageSetMetadata has it: the version is the caller's
  revert,  // of another update: each image set goes back to the version before it
};
std::string_view to_string(MetadataUpdateKind kind);
std::optional<MetadataUpdateKind> metadata_update_kind_from(std::string_view text);

// What somebody wants.
struct MetadataUpdateRequest {
  MetadataUpdateKind kind = MetadataUpdateKind::change;
  std::string destination;
  Uid study_instance_uid;
  MetadataChange change;
  // When the change gives the study to another patient: that one's PatientID (kept as a hash).
  std::string patient_id = {};
  // Of `exact` alone.
  std::string image_set_id = {};
  std::int64_t seen_version = 0;
  std::int64_t revert_to = 0;  // instead of a change; 0: none
  bool include_study_image_sets = false;
};

struct MetadataUpdateRow {
  MetadataUpdateId id;
  std::optional<MetadataOrderId> order;  // its parent, when it was ordered together with others
  MetadataUpdateKind kind = MetadataUpdateKind::change;
  std::string destination;
  Uid study_instance_uid;
  std::string image_set_id;
  std::int64_t seen_version = 0;
  std::int64_t revert_to = 0;
  bool include_study_image_sets = false;
  std::optional<MetadataUpdateId> reverts;
  std::string requested_by;
  WallTime requested_at;
  MetadataUpdateState state = MetadataUpdateState::pending;
  WallTime state_since;
  std::int64_t attempts = 0;  // calls in a row that failed
  std::optional<WallTime> next_attempt_at;
  std::string error_code;
  std::string error;
};

// One attribute in one image set. Patient data.
struct MetadataStepValue {
  std::optional<std::string> before;  // what was stored when it was planned
  std::optional<std::string> wanted;  // what it is to be
  std::optional<std::string> found;   // of a conflict: what somebody else has made of it
  bool operator==(const MetadataStepValue&) const = default;
};

// One image set of an update.
struct MetadataStep {
  std::int64_t place = 0;  // from 0; steps are done in this order
  std::string image_set_id;
  bool primary = false;
  // The step whose call does this one as well (includeStudyImageSets); itself when it is its own.
  std::int64_t carried_by = 0;
  MetadataStepState state = MetadataStepState::planned;
  std::int64_t seen_version = 0;  // what the call names as the newest
  std::int64_t version = 0;  // what the call was answered with, then what it has become; 0: none
  std::int64_t revert_to = 0;
  std::string error_code;
  std::string error;
  std::string detail;                     // the service's words; patient data
  std::vector<MetadataStepValue> values;  // one per attribute of the change
};

struct MetadataUpdateDetails {
  MetadataUpdateRow row;
  MetadataChange change;
  std::vector<MetadataStep> steps;
};

}  // namespace isthmus
