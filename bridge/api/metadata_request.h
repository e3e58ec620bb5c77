// What callers want to have changed, read from the bodies of the metadata routes. Private to api.
// Pure, but for the data dictionary. Errors are permanent; no message holds a value.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "model/metadata.h"

namespace isthmus::api {

// What a path names.
struct MetadataTarget {
  Uid study;
  std::optional<Uid> series;
  std::optional<Uid> instance;

  MetadataLevel level() const {
    if (instance) return MetadataLevel::instance;
    return series ? MetadataLevel::series : MetadataLevel::study;
  }
};

// The body of PATCH: {"set": {<tag or keyword>: <DICOM JSON element>}, "remove": [<tag or
// keyword>], "expect": {as set}, "removeInstance": true, "force": [<tag or keyword>]}; DICOM JSON
// alone, of which every key is a tag, is a set. "api.bad_request", "api.bad_attribute",
// "api.bad_value" (not of its VR, and not named in "force" to be taken as it is);
// "metadata.wrong_level" (the attribute belongs to another resource), "metadata.not_changeable",
// "metadata.needs_force" (guarded attributes that "force" does not name: UIDs, StudyID, sequences,
// several values, private and unknown ones, the removal of an instance).
Result<MetadataChange> parse_change(std::string_view body, const MetadataTarget& target);

struct MergeRequest {
  std::string merged_patient_id;
  std::string surviving_patient_id;
  MetadataChange change;
};
// {"surviving": {"PatientID": "A", …}, "merged": {"PatientID": "B"}}: of the surviving one any
// patient level attribute, as text or as DICOM JSON element. "api.bad_request",
// "api.bad_attribute", "metadata.wrong_level", "metadata.needs_force".
Result<MergeRequest> parse_merge(std::string_view body);

}  // namespace isthmus::api
