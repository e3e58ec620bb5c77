// Which image set an imported file belongs to: pure decisions, no storage. Source: contracts/
// healthimaging ("Understanding image sets"): files are grouped by seven elements; a data store
// holds one primary image set per series; what carries the series' UID but other values goes into a
// non-primary one.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/digest.h"

namespace isthmus::datastore {

// metadata-levels.json, imageSetGroupingElements. Absent and empty are the same.
struct GroupingElements {
  std::string study_date;
  std::string accession_number;
  std::string patient_id;
  std::string study_instance_uid;
  std::string study_id;
  std::string series_instance_uid;
  std::string series_number;
};
// Equal exactly when all seven are, padding aside (PS3.5 section 6.2: spaces at the end, and for
// numbers at both ends, mean nothing; nor does a NUL behind a UID).
Digest grouping_key(const GroupingElements& elements);

// One file that was examined well.
struct FileToPlace {
  std::string sop_instance_uid;
  std::string series_instance_uid;
  Digest grouping;
};
// An image set that is there already.
struct KnownImageSet {
  std::string id;
  std::string series_instance_uid;
  Digest grouping;
  bool is_primary = false;
  std::int64_t latest_version = 0;
};
struct PlannedImageSet {
  std::string id;
  std::string series_instance_uid;
  Digest grouping;
  bool is_new = false;
  bool is_primary = false;
  std::int64_t version = 1;            // the one this import makes
  std::vector<std::size_t> files;      // all files of it, as indices
  std::vector<std::size_t> instances;  // of these, the last one per SOP instance: what it will hold
};

// In the order of each set's first file. `known` has at least every set of the series at hand. One
// import makes at most one new version of a set. A series without a primary set gets its first set
// as primary; once there, a primary set stays it.
std::vector<PlannedImageSet> plan_image_sets(std::span<const FileToPlace> files,
                                             std::span<const KnownImageSet> known,
                                             const std::function<std::string()>& make_id);

// DICOMStudyDateAndTime as one text that sorts by time: "20240131093000.000000". What is missing
// counts as the beginning of the day, or, as an upper bound, as its end. Old forms with '.' and ':'
// are taken (PS3.5 section 6.2, DA and TM). Empty without a date.
std::string study_moment(std::string_view study_date, std::string_view study_time,
                         bool upper_bound = false);

}  // namespace isthmus::datastore
