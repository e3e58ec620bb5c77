// What a text value may be by its value representation (PS3.5 section 6.2, Table 6.2-1). For values
// that people write: what senders send is stored as it is. Pure.
#pragma once

#include <string_view>

namespace isthmus::dicom {

// Why one value, in UTF-8, is not of its VR, as the end of a sentence ("is no day such as
// 20260131"); empty when it is one. Trailing spaces are padding, and nothing is a value of every VR
// (Type 2). VRs that are not of text, and those that nobody knows, take everything. DCMTK's own
// rules, and beyond them: days of the calendar, the range of IS, lengths in characters, control
// characters and PN in UTF-8. Any thread.
std::string_view misfit(std::string_view vr, std::string_view value);

}  // namespace isthmus::dicom
