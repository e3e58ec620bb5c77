// Metadata of instances as DICOMweb clients send them, in the DICOM JSON Model (PS3.18 Annex F) or
// the Native DICOM Model in XML (PS3.19 Annex A), read into one plain form. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace isthmus::wire {

struct DicomAttribute;

struct DicomObject {
  std::vector<DicomAttribute> attributes;  // by tag, ascending, each once; no group 0002

  // Null when it is not there.
  const DicomAttribute* find(std::uint32_t tag) const;
  // The first value; empty without one.
  std::string_view text(std::uint32_t tag) const;
};

// Its value is in exactly one of the members below `vr`, or it has none.
struct DicomAttribute {
  std::uint32_t tag = 0;  // group in the upper half
  std::string vr;         // one of PS3.5 table 6.2-1
  // UTF-8 text, unpadded; numbers in decimal; AT as eight hex digits; person names with '='.
  std::vector<std::string> values = {};
  std::vector<DicomObject> items = {};
  std::optional<std::string> inline_bytes = {};
  std::string bulk_uri = {};
};

// Errors: "dicom_model.malformed" (permanent) with what is wrong and no values. Nesting beyond 32
// sequences is refused before anything is parsed.
//
// An array of instances, or one.
Result<std::vector<DicomObject>> parse_dicom_json(std::string_view text);
Result<DicomObject> parse_native_dicom(std::string_view xml);

bool is_binary_vr(std::string_view vr);  // OB, OW, …: bytes, not text or numbers

}  // namespace isthmus::wire
