#include "api/stow/encode.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <limits>

namespace isthmus::api::stow {
namespace {

using wire::DicomAttribute;
using wire::DicomObject;

constexpr std::uint32_t kUndefined = 0xFFFFFFFF;
constexpr std::uint32_t kItem = 0xFFFEE000;
constexpr std::uint32_t kItemEnd = 0xFFFEE00D;
constexpr std::uint32_t kSequenceEnd = 0xFFFEE0DD;

Error malformed(const char* what) {
  return permanent_error("dicom_model.malformed",
                         std::string("The metadata cannot be encoded: ") + what + ".");
}

void append_number(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
}

void append_tag(std::string& out, std::uint32_t tag) {
  append_number(out, tag >> 16, 2);
  append_number(out, tag & 0xFFFF, 2);
}

// VRs with a length of four bytes (PS3.5 table 7.1-1).
bool is_long(std::string_view vr) {
  return wire::is_binary_vr(vr) || vr == "SQ" || vr == "UC" || vr == "UR" || vr == "UT" ||
         vr == "SV" || vr == "UV";
}

// Value representations of a fixed size: its bytes, 0 for others.
int number_bytes(std::string_view vr) {
  if (vr == "US" || vr == "SS") return 2;
  if (vr == "UL" || vr == "SL" || vr == "FL" || vr == "AT") return 4;
  return vr == "FD" || vr == "SV" || vr == "UV" ? 8 : 0;
}

template <typename Number>
std::optional<Number> parse(std::string_view text, int base = 10) {
  Number value{};
  const char* const end = text.data() + text.size();
  std::from_chars_result read{};
  if constexpr (std::is_floating_point_v<Number>) {
    read = std::from_chars(text.data(), end, value);
  } else {
    read = std::from_chars(text.data(), end, value, base);
  }
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return value;
}

template <typename Number>
bool append_integer(std::string& out, std::string_view text, int bytes) {
  const auto value = parse<Number>(text);
  if (value) append_number(out, static_cast<std::uint64_t>(*value), bytes);
  return value.has_value();
}

bool append_value(std::string& out, std::string_view text, std::string_view vr) {
  if (vr == "US") return append_integer<std::uint16_t>(out, text, 2);
  if (vr == "SS") return append_integer<std::int16_t>(out, text, 2);
  if (vr == "UL") return append_integer<std::uint32_t>(out, text, 4);
  if (vr == "SL") return append_integer<std::int32_t>(out, text, 4);
  if (vr == "UV") return append_integer<std::uint64_t>(out, text, 8);
  if (vr == "SV") return append_integer<std::int64_t>(out, text, 8);
  if (vr == "FL") {
    const auto value = parse<float>(text);
    if (value) append_number(out, std::bit_cast<std::uint32_t>(*value), 4);
    return value.has_value();
  }
  if (vr == "FD") {
    const auto value = parse<double>(text);
    if (value) append_number(out, std::bit_cast<std::uint64_t>(*value), 8);
    return value.has_value();
  }
  const auto tag = parse<std::uint32_t>(text, 16);  // AT
  if (tag && text.size() == 8) append_tag(out, *tag);
  return tag && text.size() == 8;
}

Result<std::string> value_bytes(const DicomAttribute& attribute) {
  std::string bytes;
  if (attribute.inline_bytes) {
    bytes = *attribute.inline_bytes;
  } else if (number_bytes(attribute.vr) > 0) {
    for (const std::string& value : attribute.values) {
      if (value.empty() && attribute.values.size() == 1) break;
      if (!append_value(bytes, value, attribute.vr)) return malformed("a number is none");
    }
  } else if (wire::is_binary_vr(attribute.vr)) {
    if (!attribute.values.empty()) return malformed("binary values come inline or as bulk data");
  } else {
    for (std::size_t i = 0; i < attribute.values.size(); ++i) {
      if (i > 0) bytes += '\\';
      bytes += attribute.values[i];
    }
  }
  if (bytes.size() % 2 != 0) {
    bytes += attribute.vr == "UI" || wire::is_binary_vr(attribute.vr) ? '\0' : ' ';
  }
  return bytes;
}

// Gathers small pieces; bulk data go past it.
class Encoder {
 public:
  Encoder(const FindBulk& find_bulk, const BytesSink& sink) : find_bulk_(find_bulk), sink_(sink) {}

  // As deep as the metadata's reader let it.
  Result<void> object(const DicomObject& object, bool top_level) {
    for (const DicomAttribute& one : object.attributes) TRY(attribute(one, top_level));
    return {};
  }
  Result<void> flush() {
    TRY(sink_(as_bytes(pending_)));
    pending_.clear();
    return {};
  }

 private:
  Result<void> attribute(const DicomAttribute& attribute, bool top_level) {
    if (attribute.vr == "SQ") return sequence(attribute);
    if (!attribute.bulk_uri.empty()) return bulk(attribute, top_level);
    TRY_ASSIGN(const std::string bytes, value_bytes(attribute));
    TRY(head(attribute.tag, attribute.vr, bytes.size()));
    pending_ += bytes;
    return pending_.size() > 64 * KiB ? flush() : Result<void>{};
  }

  Result<void> sequence(const DicomAttribute& attribute) {
    if (!attribute.bulk_uri.empty() || attribute.inline_bytes) {
      return malformed("a sequence has bytes for a value");
    }
    TRY(head(attribute.tag, "SQ", attribute.items.empty() ? 0 : kUndefined));
    if (attribute.items.empty()) return {};
    for (const DicomObject& item : attribute.items) {
      mark(kItem, kUndefined);
      TRY(object(item, false));
      mark(kItemEnd, 0);
    }
    mark(kSequenceEnd, 0);
    return {};
  }

  Result<void> bulk(const DicomAttribute& attribute, bool top_level) {
    TRY_ASSIGN(const Bulk found, find_bulk_(attribute.bulk_uri, attribute.tag, top_level));
    const std::uint64_t padded = found.size_bytes + found.size_bytes % 2;
    if (padded >= kUndefined) return malformed("bulk data are too long for a value");
    if (found.encapsulated) {
      TRY(head(attribute.tag, "OB", kUndefined));
      mark(kItem, 0);  // an empty offset table (PS3.5 section A.4)
      mark(kItem, static_cast<std::uint32_t>(padded));
    } else {
      TRY(head(attribute.tag, attribute.vr, padded));
    }
    TRY(flush());
    TRY(found.read(sink_));
    if (padded != found.size_bytes) pending_ += is_text(attribute.vr) ? ' ' : '\0';
    if (found.encapsulated) mark(kSequenceEnd, 0);
    return {};
  }

  static bool is_text(std::string_view vr) { return vr == "UT" || vr == "UC" || vr == "LT"; }

  Result<void> head(std::uint32_t tag, std::string_view vr, std::uint64_t length) {
    append_tag(pending_, tag);
    pending_ += vr;
    if (is_long(vr)) {
      append_number(pending_, 0, 2);
      append_number(pending_, length, 4);
      return {};
    }
    if (length > std::numeric_limits<std::uint16_t>::max()) {
      return malformed("a value is too long for its VR");
    }
    append_number(pending_, length, 2);
    return {};
  }

  void mark(std::uint32_t tag, std::uint32_t length) {
    append_tag(pending_, tag);
    append_number(pending_, length, 4);
  }

  const FindBulk& find_bulk_;
  const BytesSink& sink_;
  std::string pending_;
};

}  // namespace

Result<void> encode(const DicomObject& object, const FindBulk& find_bulk, const BytesSink& sink) {
  Encoder encoder(find_bulk, sink);
  TRY(encoder.object(object, true));
  return encoder.flush();
}

}  // namespace isthmus::api::stow
