// The Native DICOM Model (PS3.19 section A.1) of what a store transaction answers: references,
// reasons, and Google's FailureDetail. No I/O, any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace isthmus::datastore {

// From the DICOM JSON model. Elements without a keyword known here are left out.
std::string print_native_xml(const nlohmann::json& dataset);

}  // namespace isthmus::datastore
