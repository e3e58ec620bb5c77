#include "dicom/dictionary.h"

#include <fmt/format.h>

// DCMTK's own configuration comes first.
#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dctk.h>

#include <charconv>

namespace isthmus::dicom {
namespace {

// What DCMTK puts before names that later editions retired; PS3.6 does not.
constexpr std::string_view kRetired = "RETIRED_";

}  // namespace

std::optional<DictionaryElement> find_element(std::uint32_t tag) {
  const DcmTagKey key(static_cast<Uint16>(tag >> 16), static_cast<Uint16>(tag & 0xFFFFU));
  if (key.getGroup() % 2 != 0) return std::nullopt;
  std::optional<DictionaryElement> element;
  const DcmDictEntry* entry = dcmDataDict.rdlock().findEntry(key, nullptr);
  if (entry != nullptr) {
    std::string_view name = entry->getTagName();
    if (name.starts_with(kRetired)) name.remove_prefix(kRetired.size());
    if (!name.starts_with("ACR_NEMA")) {
      element = DictionaryElement{tag, std::string(name),
                                  DcmVR(DcmVR(entry->getEVR()).getValidEVR()).getValidVRName(),
                                  entry->getVMMax() != 1};
    }
  }
  dcmDataDict.rdunlock();
  return element;
}

std::optional<DictionaryElement> find_element(std::string_view keyword_or_tag) {
  if (const auto tag = tag_from(keyword_or_tag)) return find_element(*tag);
  const std::string keyword(keyword_or_tag);
  if (keyword.empty()) return std::nullopt;
  DcmTag tag;
  const bool found = DcmTag::findTagFromName(keyword.c_str(), tag).good() ||
                     DcmTag::findTagFromName((std::string(kRetired) + keyword).c_str(), tag).good();
  if (!found) return std::nullopt;
  auto element = find_element(static_cast<std::uint32_t>(tag.getGroup()) << 16 | tag.getElement());
  // DCMTK takes "0010,0010" and other spellings of its own, too.
  if (!element || element->keyword != keyword) return std::nullopt;
  return element;
}

std::string tag_hex(std::uint32_t tag) {
  return fmt::format("{:08X}", tag);
}

std::optional<std::uint32_t> tag_from(std::string_view text) {
  std::uint32_t tag = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, tag, 16);
  if (text.size() != 8 || read.ec != std::errc{} || read.ptr != end) return std::nullopt;
  return tag;
}

Result<void> check_dictionary() {
  if (dcmDataDict.isDictionaryLoaded()) return {};
  return fatal_error("dicom.no_dictionary",
                     "DCMTK's data dictionary is missing: install libdcmtk17 with its data.");
}

}  // namespace isthmus::dicom
