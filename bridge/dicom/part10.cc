#include "dicom/part10.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "dicom/walk/tag.h"

namespace isthmus::dicom {
namespace {

constexpr std::size_t kPreambleBytes = 128;
constexpr std::size_t kMetaOffset = kPreambleBytes + 4;
constexpr std::size_t kMaxMetaBytes = 64 * KiB;  // standards/05-file-meta.md: "a cap (64 KiB)"

void append_u16(std::string& out, unsigned value) {
  out += static_cast<char>(value & 0xFF);
  out += static_cast<char>(value >> 8 & 0xFF);
}

void append_u32(std::string& out, std::uint32_t value) {
  append_u16(out, value & 0xFFFF);
  append_u16(out, value >> 16);
}

// An element of group 2 with a two-byte length. UI is padded with NUL, text with a space
// (PS3.5 6.2).
void append_short(std::string& out, unsigned element, std::string_view vr, std::string_view value) {
  append_u16(out, 0x0002);
  append_u16(out, element);
  out += vr;
  append_u16(out, static_cast<unsigned>(value.size() + value.size() % 2));
  out += value;
  if (value.size() % 2 != 0) out += vr == "UI" ? '\0' : ' ';
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\0' || text.back() == ' ')) text.remove_suffix(1);
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  return text;
}

bool is_upper(std::byte b) {
  return b >= std::byte{'A'} && b <= std::byte{'Z'};
}

std::uint32_t u16_at(ByteSpan bytes, std::size_t at) {
  return std::to_integer<std::uint32_t>(bytes[at]) | std::to_integer<std::uint32_t>(bytes[at + 1])
                                                         << 8;
}
std::uint32_t u32_at(ByteSpan bytes, std::size_t at) {
  return u16_at(bytes, at) | u16_at(bytes, at + 2) << 16;
}

struct MetaElement {
  Tag tag = 0;
  std::string_view value;
  std::size_t end = 0;
};

Error unreadable(std::size_t at) {
  return permanent_error("dicom.unreadable",
                         fmt::format("The file meta information is broken, at byte {}.", at));
}

// The element of group 2 at `at`, or nothing when another group begins there. Explicit VR as it
// must be, Implicit VR as some writers do: told apart by the VR, which is two capitals or is not
// there.
Result<std::optional<MetaElement>> read_meta_element(ByteSpan head, std::size_t at) {
  if (head.size() - at < 8 || u16_at(head, at) != 0x0002) return std::optional<MetaElement>{};
  MetaElement element;
  element.tag = make_tag(0x0002, u16_at(head, at + 2));
  std::size_t value_at = at + 8;
  std::size_t length = 0;
  if (is_upper(head[at + 4]) && is_upper(head[at + 5])) {
    const std::string_view vr = as_text(head.subspan(at + 4, 2));
    if (vr == "OB" || vr == "OW" || vr == "UN" || vr == "UT" || vr == "UR" || vr == "SQ") {
      if (head.size() - at < 12) return unreadable(at);
      length = u32_at(head, at + 8);
      value_at = at + 12;
    } else {
      length = u16_at(head, at + 6);
    }
  } else {
    length = u32_at(head, at + 4);
  }
  if (length > head.size() - value_at) return unreadable(at);
  element.value = as_text(head.subspan(value_at, length));
  element.end = value_at + length;
  return std::optional<MetaElement>{element};
}

}  // namespace

std::string_view implementation_class_uid() {
  return "2.25.244350800448157183255240769995415640239";
}
std::string_view implementation_version_name() {
  return "ISTHMUS_0_1";
}

Bytes make_file_header(const FileMeta& meta) {
  std::string group;
  append_u16(group, 0x0002);
  append_u16(group, 0x0001);
  group += "OB";
  append_u16(group, 0);
  append_u32(group, 2);
  append_u16(group, 0x0100);  // version 00 01
  append_short(group, 0x0002, "UI", meta.media_storage_sop_class_uid);
  append_short(group, 0x0003, "UI", meta.media_storage_sop_instance_uid);
  append_short(group, 0x0010, "UI", meta.transfer_syntax_uid);
  append_short(group, 0x0012, "UI", implementation_class_uid());
  append_short(group, 0x0013, "SH", implementation_version_name());
  if (!meta.sending_ae_title.empty()) append_short(group, 0x0017, "AE", meta.sending_ae_title);
  if (!meta.receiving_ae_title.empty()) append_short(group, 0x0018, "AE", meta.receiving_ae_title);

  std::string header(kPreambleBytes, '\0');
  header += "DICM";
  append_u16(header, 0x0002);
  append_u16(header, 0x0000);
  header += "UL";
  append_u16(header, 4);
  append_u32(header, static_cast<std::uint32_t>(group.size()));
  header += group;
  const ByteSpan bytes = as_bytes(header);
  return {bytes.begin(), bytes.end()};
}

Result<FileHead> read_file_head(ByteSpan head) {
  if (head.size() < kMetaOffset || as_text(head.subspan(kPreambleBytes, 4)) != "DICM") {
    return permanent_error("dicom.not_part10",
                           "This is no DICOM Part 10 file: DICM is not at 128.");
  }
  head = head.first(std::min(head.size(), kMetaOffset + kMaxMetaBytes));
  FileHead found;
  std::size_t at = kMetaOffset;
  Tag last = 0;
  // Tags ascend. One that does not is no longer group 2 of the file but an element of the data set
  // that must not be there and must not override (standards/05-file-meta.md, rules).
  while (true) {
    TRY_ASSIGN(const std::optional<MetaElement> element, read_meta_element(head, at));
    if (!element || element->tag <= last) break;
    last = element->tag;
    at = element->end;
    const std::string_view value = trimmed(element->value);
    if (last == make_tag(0x0002, 0x0002)) found.media_storage_sop_class_uid = value;
    if (last == make_tag(0x0002, 0x0003)) found.media_storage_sop_instance_uid = value;
    if (last == make_tag(0x0002, 0x0010)) found.transfer_syntax_uid = value;
  }
  found.dataset_offset_bytes = at;
  if (found.transfer_syntax_uid.empty()) {
    return permanent_error("dicom.no_transfer_syntax",
                           "The file meta information names no transfer syntax.");
  }
  return found;
}

}  // namespace isthmus::dicom
