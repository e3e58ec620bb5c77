// The Native DICOM Model (PS3.19 section A.1), printed from the DICOM JSON model (PS3.18 Annex F).
// No I/O, any thread.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace isthmus::datastore {

// The keyword of a tag in eight hex digits; empty when nobody knows.
using KeywordLookup = std::function<std::string(std::string_view tag)>;

// Private elements are named by their creator, as far as the dataset has it; creators themselves
// are no elements of the model.
std::string print_native_xml(const nlohmann::json& dataset, const KeywordLookup& keyword_of);

// Keywords of what a store transaction answers, Google's FailureDetail among them
// (contracts/google-healthcare section 6).
std::string store_answer_keyword(std::string_view tag);

}  // namespace isthmus::datastore
