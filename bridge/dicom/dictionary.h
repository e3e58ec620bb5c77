// What the data dictionary (PS3.6) says of an element: DCMTK's, read from its file once. Any
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace isthmus::dicom {

struct DictionaryElement {
  std::uint32_t tag = 0;
  std::string keyword;
  std::string vr;               // "PN"; where the dictionary leaves a choice, its first
  bool several_values = false;  // VM is not 1
};

// Of standard elements; nothing of those that it does not know, and of private ones.
std::optional<DictionaryElement> find_element(std::uint32_t tag);
// By keyword ("PatientName") or eight hex digits of either case ("00100010").
std::optional<DictionaryElement> find_element(std::string_view keyword_or_tag);

// Eight hex digits, and back; nothing when it is something else.
std::string tag_hex(std::uint32_t tag);
std::optional<std::uint32_t> tag_from(std::string_view text);

// "dicom.no_dictionary" (fatal): DCMTK's file is not installed.
Result<void> check_dictionary();

}  // namespace isthmus::dicom
