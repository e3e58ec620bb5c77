#include "wire/dicom_encode.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <limits>

namespace isthmus::wire {
namespace {

constexpr std::uint32_t kCharacterSet = 0x00080005;
constexpr std::uint32_t kNumberOfFrames = 0x00280008;
constexpr std::uint32_t kPixelData = 0x7FE00010;
constexpr std::string_view kExplicitLittleEndian = "1.2.840.10008.1.2.1";
constexpr std::string_view kUtf8 = "ISO_IR 192";

// Image media types and the transfer syntax that they mean when no parameter names one (PS3.18
// section 8.7.3.3). A JPEG must name its own: the default, lossless, would be a lie for the many
// that are baseline.
struct Compressed {
  std::string_view media_type;
  std::string_view transfer_syntax;
};
constexpr std::array kCompressed{
    Compressed{"image/jpeg", ""},
    Compressed{"image/jls", "1.2.840.10008.1.2.4.80"},
    Compressed{"image/jp2", "1.2.840.10008.1.2.4.90"},
    Compressed{"image/jpx", "1.2.840.10008.1.2.4.92"},
    Compressed{"image/jphc", "1.2.840.10008.1.2.4.201"},
    Compressed{"image/jxl", "1.2.840.10008.1.2.4.110"},
    Compressed{"image/dicom-rle", "1.2.840.10008.1.2.5"},
    Compressed{"video/mpeg2", "1.2.840.10008.1.2.4.100"},
    Compressed{"video/mp4", "1.2.840.10008.1.2.4.102"},
    Compressed{"video/h265", "1.2.840.10008.1.2.4.107"},
};

// What decoders need, and a code stream alone does not say in DICOM's terms: photometric
// interpretation, rows, columns, samples, bits allocated, bits stored, high bit, representation.
constexpr std::array<std::uint32_t, 8> kPixelDescription{
    0x00280002, 0x00280004, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102, 0x00280103};

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
  return is_binary_vr(vr) || vr == "SQ" || vr == "UC" || vr == "UR" || vr == "UT" || vr == "SV" ||
         vr == "UV";
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
  } else if (is_binary_vr(attribute.vr)) {
    if (!attribute.values.empty()) return malformed("binary values come inline or as bulk data");
  } else {
    for (std::size_t i = 0; i < attribute.values.size(); ++i) {
      if (i > 0) bytes += '\\';
      bytes += attribute.values[i];
    }
  }
  if (bytes.size() % 2 != 0) {
    bytes += attribute.vr == "UI" || is_binary_vr(attribute.vr) ? '\0' : ' ';
  }
  return bytes;
}

Error unsupported(const char* what) {
  return permanent_error("stow.bulk_unsupported", what);
}

bool has_text_beyond_ascii(const DicomObject& object) {
  const auto beyond = [](const std::string& text) {
    return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) > 0x7F; });
  };
  return std::ranges::any_of(object.attributes, [&](const DicomAttribute& attribute) {
    return std::ranges::any_of(attribute.values, beyond) ||
           std::ranges::any_of(attribute.items, has_text_beyond_ascii);
  });
}

const BulkPart* find_part(std::span<const BulkPart> parts, const std::string& uri) {
  const auto found = std::ranges::find(parts, uri, &BulkPart::location);
  return found == parts.end() ? nullptr : &*found;
}

const Compressed* compression_of(const BulkPart& part) {
  const auto found = std::ranges::find(kCompressed, part.media.type, &Compressed::media_type);
  return found == kCompressed.end() ? nullptr : &*found;
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

FindBulk bulk_among(std::span<const BulkPart> parts) {
  return [parts](const std::string& uri, std::uint32_t tag, bool top_level) -> Result<Bulk> {
    const BulkPart* part = find_part(parts, uri);
    if (part == nullptr) {
      return permanent_error("stow.missing_bulk_data",
                             "No part has the Content-Location of a BulkDataURI.");
    }
    const bool encapsulated = compression_of(*part) != nullptr;
    if (encapsulated && (tag != kPixelData || !top_level)) {
      return unsupported("Only the pixel data of an instance may be compressed.");
    }
    return Bulk{part->size_bytes, part->read, encapsulated};
  };
}

Result<std::string> assembled_transfer_syntax(const DicomObject& object,
                                              std::span<const BulkPart> parts) {
  const DicomAttribute* pixels = object.find(kPixelData);
  const BulkPart* part = pixels == nullptr ? nullptr : find_part(parts, pixels->bulk_uri);
  const Compressed* compressed = part == nullptr ? nullptr : compression_of(*part);
  if (compressed == nullptr) return std::string(kExplicitLittleEndian);
  const std::string syntax(part->media.parameter("transfer-syntax", compressed->transfer_syntax));
  if (syntax.empty()) return unsupported("A compressed image must name its transfer-syntax.");
  const bool described = std::ranges::all_of(
      kPixelDescription, [&](std::uint32_t tag) { return !object.text(tag).empty(); });
  if (!described) return unsupported("The metadata do not describe the pixels.");
  const std::string_view frames = object.text(kNumberOfFrames);
  const bool one_stream =
      frames.empty() || frames == "1" || compressed->media_type.starts_with("video/");
  if (!one_stream) return unsupported("Several compressed frames must come as a Part 10 file.");
  return syntax;
}

bool say_utf8(DicomObject& object) {
  if (object.text(kCharacterSet) == kUtf8 || !has_text_beyond_ascii(object)) return false;
  std::erase_if(object.attributes, [](const auto& one) { return one.tag == kCharacterSet; });
  DicomAttribute character_set;
  character_set.tag = kCharacterSet;
  character_set.vr = "CS";
  character_set.values = {std::string(kUtf8)};
  const auto place =
      std::ranges::lower_bound(object.attributes, kCharacterSet, {}, &DicomAttribute::tag);
  object.attributes.insert(place, std::move(character_set));
  return true;
}

Result<void> encode(const DicomObject& object, const FindBulk& find_bulk, const BytesSink& sink) {
  Encoder encoder(find_bulk, sink);
  TRY(encoder.object(object, true));
  return encoder.flush();
}

}  // namespace isthmus::wire
