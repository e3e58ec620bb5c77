#include "datastore/engine/pixel_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

namespace isthmus::datastore {
namespace {

using nlohmann::json;

constexpr std::string_view kForms[] = {"kept", "native", "transcoded"};
constexpr std::size_t kPrefixDigits = 24;
constexpr std::size_t kIndexDigits = 8;

template <typename Number>
void append_number(Number number, Bytes& into) {
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    into.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(number) >> (8 * i) & 0xFF));
  }
}

class NumberReader {
 public:
  explicit NumberReader(ByteSpan bytes) : bytes_(bytes) {}
  template <typename Number>
  Number next() {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(Number); ++i) {
      value |= std::to_integer<std::uint64_t>(bytes_[at_ + i]) << (8 * i);
    }
    at_ += sizeof(Number);
    return static_cast<Number>(value);
  }

 private:
  ByteSpan bytes_;
  std::size_t at_ = 0;
};

// False once a member was missing.
class Members {
 public:
  explicit Members(const json& object) : object_(object) {}
  template <typename Number>
  void number(const char* name, Number& into) {
    const auto found = object_.find(name);
    fine = fine && found != object_.end() && found->is_number_integer();
    if (fine) into = found->get<Number>();
  }
  void flag(const char* name, bool& into) {
    const auto found = object_.find(name);
    fine = fine && found != object_.end() && found->is_boolean();
    if (fine) into = found->get<bool>();
  }
  void text(const char* name, std::string& into) {
    const auto found = object_.find(name);
    fine = fine && found != object_.end() && found->is_string();
    if (fine) into = found->get<std::string>();
  }
  bool fine = true;

 private:
  const json& object_;
};

}  // namespace

void append_record(const FrameRecord& record, Bytes& into) {
  append_number(record.offset, into);
  append_number(record.length, into);
  append_number(record.size_bytes, into);
  append_number(record.smallest, into);
  append_number(record.largest, into);
  append_number(record.checksum, into);
  append_number(record.fragments, into);
  append_number(record.bit_offset, into);
  append_number(static_cast<std::uint8_t>(record.state), into);
  into.resize(into.size() + 6);  // room for more
}

FrameRecord read_record(ByteSpan bytes) {
  ASSERT(bytes.size() == kFrameRecordBytes);
  NumberReader numbers(bytes);
  FrameRecord record;
  record.offset = numbers.next<std::uint64_t>();
  record.length = numbers.next<std::uint64_t>();
  record.size_bytes = numbers.next<std::uint64_t>();
  record.smallest = numbers.next<std::int64_t>();
  record.largest = numbers.next<std::int64_t>();
  record.checksum = numbers.next<std::uint32_t>();
  record.fragments = numbers.next<std::uint32_t>();
  record.bit_offset = numbers.next<std::uint8_t>();
  record.state = static_cast<FrameState>(std::min<std::uint8_t>(numbers.next<std::uint8_t>(), 2));
  return record;
}

json to_json(const PixelDescription& description) {
  return {{"form", kForms[static_cast<std::size_t>(description.form)]},
          {"transferSyntaxUID", description.transfer_syntax_uid},
          {"rows", description.rows},
          {"columns", description.columns},
          {"samples", description.samples},
          {"bitsAllocated", description.bits_allocated},
          {"bitsStored", description.bits_stored},
          {"signed", description.is_signed},
          {"planar", description.planar},
          {"inWords", description.in_words},
          {"photometric", description.photometric}};
}

json to_json(const FrameRecord& record) {
  return {{"offset", record.offset},
          {"length", record.length},
          {"fragments", record.fragments},
          {"bitOffset", record.bit_offset}};
}

std::optional<PixelDescription> description_from_json(const json& object) {
  if (!object.is_object()) return std::nullopt;
  PixelDescription description;
  std::string form;
  Members members(object);
  members.text("form", form);
  members.text("transferSyntaxUID", description.transfer_syntax_uid);
  members.number("rows", description.rows);
  members.number("columns", description.columns);
  members.number("samples", description.samples);
  members.number("bitsAllocated", description.bits_allocated);
  members.number("bitsStored", description.bits_stored);
  members.flag("signed", description.is_signed);
  members.flag("planar", description.planar);
  members.flag("inWords", description.in_words);
  members.text("photometric", description.photometric);
  const auto found = std::ranges::find(kForms, form);
  if (!members.fine || found == std::end(kForms)) return std::nullopt;
  description.form = static_cast<FrameForm>(found - std::begin(kForms));
  return description;
}

std::optional<FrameRecord> record_from_json(const json& object) {
  if (!object.is_object()) return std::nullopt;
  FrameRecord record;
  Members members(object);
  members.number("offset", record.offset);
  members.number("length", record.length);
  members.number("fragments", record.fragments);
  members.number("bitOffset", record.bit_offset);
  if (!members.fine || record.bit_offset > 7) return std::nullopt;
  return record;
}

std::string frame_id(const Digest& blob, std::uint32_t index) {
  return fmt::format("{}{:08x}", blob.hex().substr(0, kPrefixDigits), index);
}

std::optional<FrameName> parse_frame_id(std::string_view id) {
  if (id.size() != kPrefixDigits + kIndexDigits) return std::nullopt;
  const bool hex = std::ranges::all_of(
      id, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (!hex) return std::nullopt;
  FrameName name;
  name.blob_prefix = id.substr(0, kPrefixDigits);
  std::from_chars(id.data() + kPrefixDigits, id.data() + id.size(), name.index, 16);
  return name;
}

std::string stored_syntax(const PixelDescription& description, std::string_view lossless_format) {
  switch (description.form) {
    case FrameForm::kept:
      return description.transfer_syntax_uid;
    case FrameForm::native:
      return "1.2.840.10008.1.2.1";
    case FrameForm::transcoded:
      break;
  }
  return lossless_format == "JPEG_2000_LOSSLESS" ? "1.2.840.10008.1.2.4.90"
                                                 : "1.2.840.10008.1.2.4.202";
}

}  // namespace isthmus::datastore
