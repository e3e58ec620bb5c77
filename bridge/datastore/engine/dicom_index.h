// What DICOMweb sees of a data store: studies, series and instances, out of the primary image sets
// in their latest settled version. Queries run on indexed columns; what has no column is looked at
// row by row within what the indexes leave.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "datastore/engine/catalogue.h"

namespace isthmus::datastore {

enum class QueryLevel { study, series, instance };

// One matching key (PS3.18 section 8.3.4.1, PS3.4 section C.2.2.2).
struct QueryMatch {
  enum class Kind {
    equal,  // any of the values
    range,  // from values[0] to values[1], either may be empty
    like,   // a pattern of '*' and '?'
    fuzzy,  // each word of the value begins a word of the name, whatever its case
  };
  std::string keyword;  // one of queryable_keywords()
  Kind kind = Kind::equal;
  std::vector<std::string> values;
};

struct DicomQuery {
  QueryLevel level = QueryLevel::study;
  std::vector<QueryMatch> matches;
  std::size_t limit = 1000;
  std::size_t offset = 0;
};

struct QueryResult {
  std::string set_attributes;       // JSON: search_attributes() of a series' image set
  std::string instance_attributes;  // JSON; at instance level, as below
  std::string sop_instance_uid;
  Bytes document;  // compressed: parse_document(); empty where the attributes have what is asked
  std::int64_t series = 0;
  std::int64_t instances = 0;
  std::string modalities;  // separated by commas; at study level
};

// An instance as it is served.
struct ServedInstance {
  std::int64_t id = 0;
  std::string image_set;
  std::int64_t version = 0;
  std::string study_instance_uid;
  std::string series_instance_uid;
  std::string sop_instance_uid;
  Digest blob;
  std::uint64_t size_bytes = 0;
  Bytes document;
  std::string pixel_description;  // JSON (pixel_layout.h); empty: it has no frames
};

struct InstancePath {
  std::string study;
  std::string series;    // empty: all of the study
  std::string instance;  // empty: all of the series
};

// Whether a key can be searched for at this level or above it.
bool is_queryable(std::string_view keyword, QueryLevel level);

// Any thread.
class DicomIndex {
 public:
  explicit DicomIndex(Catalogue& catalogue) : catalogue_(catalogue) {}

  Result<std::vector<QueryResult>> search(const std::string& data_store, const DicomQuery& query);
  // In the order of series and import, behind the instance `after` (0: from the first).
  Result<std::vector<ServedInstance>> instances(const std::string& data_store,
                                                const InstancePath& path, std::int64_t after,
                                                std::size_t limit);

 private:
  Catalogue& catalogue_;
};

}  // namespace isthmus::datastore
