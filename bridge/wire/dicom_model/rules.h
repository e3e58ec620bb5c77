// What both forms of metadata share. Private to wire.
#pragma once

#include "wire/dicom_model.h"

namespace isthmus::wire::dicom_model {

constexpr int kMostNesting = 32;  // of sequences

Error malformed(const std::string& what);
// "0020000D"; nothing for a text that is no tag.
std::optional<std::uint32_t> parse_tag(std::string_view text);
bool is_vr(std::string_view vr);
// Sorts, and leaves out what belongs to a file and not to a data set: group 0002 and group lengths.
Result<void> finish(DicomObject& object);
// A number as a value of this VR: decimal strings have at most 16 characters (PS3.5 table 6.2-1).
std::string number_text(double value, std::string_view vr);

}  // namespace isthmus::wire::dicom_model
