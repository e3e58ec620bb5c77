// Tags as one number, group in the upper half: they compare in the order of a data set.
#pragma once

#include <cstdint>
#include <string>

namespace isthmus::dicom {

using Tag = std::uint32_t;

constexpr Tag make_tag(unsigned group, unsigned element) {
  return (static_cast<Tag>(group) << 16) | static_cast<Tag>(element);
}
constexpr unsigned group_of(Tag tag) {
  return tag >> 16;
}

constexpr Tag kItem = make_tag(0xFFFE, 0xE000);
constexpr Tag kItemEnd = make_tag(0xFFFE, 0xE00D);
constexpr Tag kSequenceEnd = make_tag(0xFFFE, 0xE0DD);

constexpr Tag kSopClassUid = make_tag(0x0008, 0x0016);
constexpr Tag kSopInstanceUid = make_tag(0x0008, 0x0018);
constexpr Tag kAccessionNumber = make_tag(0x0008, 0x0050);
constexpr Tag kInstitutionName = make_tag(0x0008, 0x0080);
constexpr Tag kStudyDescription = make_tag(0x0008, 0x1030);
constexpr Tag kModality = make_tag(0x0008, 0x0060);
constexpr Tag kPatientId = make_tag(0x0010, 0x0020);
constexpr Tag kStudyInstanceUid = make_tag(0x0020, 0x000D);
constexpr Tag kSeriesInstanceUid = make_tag(0x0020, 0x000E);
constexpr Tag kFloatPixelData = make_tag(0x7FE0, 0x0008);
constexpr Tag kDoubleFloatPixelData = make_tag(0x7FE0, 0x0009);
constexpr Tag kPixelData = make_tag(0x7FE0, 0x0010);

// "(0008,0018)".
std::string tag_text(Tag tag);

}  // namespace isthmus::dicom
