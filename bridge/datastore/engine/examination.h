// What the import worker said about one file, in the form the catalogue keeps it (the worker's
// answer is described in examine.h).
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/digest.h"

namespace isthmus::datastore {

struct Examination {
  // Refused: `failure_type` is set, and nothing below the warnings.
  std::string failure_type;  // "ValidationException"
  std::string failure_message;
  std::string warnings;  // JSON array, "[]" when there are none
  std::string sop_class_uid;
  std::string sop_instance_uid;
  std::string series_instance_uid;
  Digest grouping;
  std::string attributes;  // JSON object: the answer's "tags"
  Bytes document;          // compressed JSON: metadata, syntax, frames, geometry
  // Of its frames; pixel_records is empty when it has none.
  std::int64_t dataset_offset = 0;
  std::string pixel_description;  // JSON
  Bytes pixel_records;

  bool refused() const { return !failure_type.empty(); }
};

// From the worker's line. "datastore.worker_answer" (permanent) when it is not what examine.h
// promises.
Result<Examination> parse_examination(std::string_view line);
// A file that was never examined to the end.
Examination failed_examination(std::string failure_type, std::string message);

}  // namespace isthmus::datastore
