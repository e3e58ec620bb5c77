#include "wire/dicom_model/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace isthmus::wire {

const DicomAttribute* DicomObject::find(std::uint32_t tag) const {
  const auto found = std::ranges::lower_bound(attributes, tag, {}, &DicomAttribute::tag);
  return found == attributes.end() || found->tag != tag ? nullptr : &*found;
}

std::string_view DicomObject::text(std::uint32_t tag) const {
  const DicomAttribute* attribute = find(tag);
  return attribute == nullptr || attribute->values.empty() ? std::string_view()
                                                           : attribute->values.front();
}

bool is_binary_vr(std::string_view vr) {
  return vr == "OB" || vr == "OW" || vr == "OD" || vr == "OF" || vr == "OL" || vr == "OV" ||
         vr == "UN";
}

namespace dicom_model {

Error malformed(const std::string& what) {
  return permanent_error("dicom_model.malformed", "The metadata cannot be read: " + what + ".");
}

std::optional<std::uint32_t> parse_tag(std::string_view text) {
  std::uint32_t tag = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), tag, 16);
  if (text.size() != 8 || error != std::errc() || end != text.data() + 8) return std::nullopt;
  return tag;
}

bool is_vr(std::string_view vr) {
  static constexpr std::array<std::string_view, 34> kAll{
      "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT",
      "OB", "OD", "OF", "OL", "OV", "OW", "PN", "SH", "SL", "SQ", "SS", "ST",
      "SV", "TM", "UC", "UI", "UL", "UN", "UR", "US", "UT", "UV"};
  return std::ranges::find(kAll, vr) != kAll.end();
}

Result<void> finish(DicomObject& object) {
  std::erase_if(object.attributes, [](const DicomAttribute& attribute) {
    return attribute.tag >> 16 == 0x0002 || (attribute.tag & 0xFFFF) == 0;
  });
  std::ranges::sort(object.attributes, {}, &DicomAttribute::tag);
  const auto same = std::ranges::adjacent_find(object.attributes, {}, &DicomAttribute::tag);
  if (same != object.attributes.end()) return malformed("an attribute is there twice");
  return {};
}

std::string number_text(double value, std::string_view vr) {
  std::string text = fmt::format("{}", value);
  if (vr != "DS") return text;
  for (int digits = 16; text.size() > 16 && digits > 0; --digits) {
    text = fmt::format("{:.{}g}", value, digits);
  }
  return text;
}

}  // namespace dicom_model
}  // namespace isthmus::wire
