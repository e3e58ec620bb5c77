// QIDO-RS (PS3.18 section 10.6): from the query string to the engine's query, and from what it
// finds to the DICOM JSON model. No storage.
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "datastore/engine/dicom_index.h"

namespace isthmus::datastore {

// How many results an answer has, unless it is said, and at most.
struct QueryLimits {
  std::size_t otherwise = 1000;
  std::size_t most = 1000;
};

struct ParsedQuery {
  DicomQuery query;
  std::set<std::string> fields;  // keywords asked for by includefield; "all" among them
  std::vector<std::string> warnings;
};

// `study` and `series` are of the path; empty when they are not in it. "ValidationException"
// (permanent) for what cannot be searched by, a limit or offset that is none
// (contracts/healthimaging/quotas.json), and values that do not fit their key.
Result<ParsedQuery> parse_dicom_query(
    const std::vector<std::pair<std::string, std::string>>& parameters, QueryLevel level,
    const std::string& study, const std::string& series, const QueryLimits& limits);

// `base_url` is what the address of a study begins with, before "/studies".
Result<nlohmann::json> print_query_result(const QueryResult& result, const ParsedQuery& query,
                                          const std::string& base_url);

// The keyword of an element of such a result; empty when there is none of that tag.
std::string query_result_keyword(std::string_view tag);

}  // namespace isthmus::datastore
