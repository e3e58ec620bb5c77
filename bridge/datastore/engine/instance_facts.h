// What a search says of an instance itself, beside what it is found by: kept in the `attributes`
// column as the member "instance", so that QIDO-RS reads no document. Rows of before this was kept
// have no such member, nor has a row whose values are unreasonably long: those are read from the
// document.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace isthmus::datastore {

inline constexpr const char* kInstanceFacts = "instance";

// The keywords, and "transferSyntaxUID": values as the document has them. Null when they are not to
// be kept. `elements`: the instance level of the document's metadata.
nlohmann::json instance_facts(const nlohmann::json& elements,
                              const std::string& transfer_syntax_uid);
// Of a whole document.
nlohmann::json instance_facts_of(const nlohmann::json& document);

}  // namespace isthmus::datastore
