#include "wire/dicom_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/digest.h"

namespace isthmus::wire {
namespace {

using nlohmann::json;

constexpr int kMostLevels = 16;  // of sequences
constexpr std::size_t kMostShort = 0xFFFE;
constexpr std::uint32_t kItem = 0xFFFEE000;

// Explicit VR with two reserved bytes and a length of four (PS3.5 section 7.1.2).
constexpr std::array<std::string_view, 13> kLong{"OB", "OD", "OF", "OL", "OV", "OW", "SQ",
                                                 "SV", "UC", "UN", "UR", "UT", "UV"};
constexpr std::array<std::string_view, 16> kText{"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO",
                                                 "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"};

bool is_one_of(std::string_view vr, const auto& list) {
  return std::ranges::find(list, vr) != list.end();
}

// How many bytes of a binary value belong together, when the byte order is the other one.
std::size_t word_of(std::string_view vr) {
  if (vr == "OW") return 2;
  if (vr == "OF" || vr == "OL") return 4;
  if (vr == "OD" || vr == "OV") return 8;
  return 1;
}

class Printer {
 public:
  Printer(const ElementEncoding& encoding, const ElementLookup& look_up)
      : encoding_(encoding), look_up_(look_up) {}

  Result<std::string> element(std::uint32_t tag, std::string_view vr, const json& value,
                              int level) {
    std::string bytes;
    if (!value.is_null()) {
      TRY_ASSIGN(bytes, printed(tag, vr, value, level));
    }
    if (bytes.size() % 2 != 0) bytes += vr == "UI" || vr == "OB" || vr == "UN" ? '\0' : ' ';
    std::string out;
    u16(out, tag >> 16);
    u16(out, tag & 0xFFFF);
    const bool is_short = !encoding_.implicit_vr && !is_one_of(vr, kLong);
    if (!encoding_.implicit_vr) out += vr;
    if (is_short) {
      if (bytes.size() > kMostShort) return fault(tag, "is too long for its VR");
      u16(out, static_cast<std::uint32_t>(bytes.size()));
    } else {
      if (!encoding_.implicit_vr) u16(out, 0);
      if (bytes.size() >= std::numeric_limits<std::uint32_t>::max()) {
        return fault(tag, "is too long");
      }
      u32(out, static_cast<std::uint32_t>(bytes.size()));
    }
    return out + bytes;
  }

 private:
  static Error fault(std::uint32_t tag, const char* what) {
    return permanent_error("metadata.unsupported", fmt::format("{:08X} {}.", tag, what));
  }

  void number(std::string& out, std::uint64_t value, std::size_t size) const {
    for (std::size_t i = 0; i < size; ++i) {
      const std::size_t shift = 8 * (encoding_.big_endian ? size - 1 - i : i);
      out += static_cast<char>(value >> shift & 0xFF);
    }
  }
  void u16(std::string& out, std::uint32_t value) const { number(out, value, 2); }
  void u32(std::string& out, std::uint32_t value) const { number(out, value, 4); }

  Result<std::string> printed(std::uint32_t tag, std::string_view vr, const json& value,
                              int level) {
    if (vr == "SQ") return items(tag, value, level);
    if (vr.size() == 2 && vr[0] == 'O') return binary(tag, vr, value);
    if (vr == "UN") return binary(tag, vr, value);
    const bool is_text = vr == "UI" || is_one_of(vr, kText);
    if (!value.is_array()) return is_text ? text(tag, value) : numeric(tag, vr, value);
    std::string all;
    for (const json& one : value) {
      if (is_text && &one != &value.front()) all += '\\';
      TRY_ASSIGN(const std::string next, is_text ? text(tag, one) : numeric(tag, vr, one));
      all += next;
    }
    return all;
  }

  Result<std::string> text(std::uint32_t tag, const json& value) {
    if (value.is_null()) return std::string();
    if (value.is_number()) return value.dump();
    if (!value.is_string()) return fault(tag, "has a value that is no text");
    const auto& utf8 = value.get_ref<const std::string&>();
    const bool plain = std::ranges::all_of(utf8, [](unsigned char c) { return c < 0x80; });
    if (plain || encoding_.repertoire == Repertoire::utf8) return utf8;
    if (encoding_.repertoire == Repertoire::latin1) {
      if (auto narrow = latin1(utf8)) return std::move(*narrow);
    }
    return fault(tag, "has characters that the data set's character set does not have");
  }

  // Of well-formed UTF-8, which JSON texts are.
  static std::optional<std::string> latin1(std::string_view utf8) {
    std::string narrow;
    for (std::size_t i = 0; i < utf8.size(); ++i) {
      const auto c = static_cast<unsigned char>(utf8[i]);
      if (c < 0x80) {
        narrow += utf8[i];
      } else if ((c == 0xC2 || c == 0xC3) && i + 1 < utf8.size()) {
        const auto low = static_cast<unsigned char>(utf8[++i]);
        narrow += static_cast<char>((c & 0x03U) << 6U | (low & 0x3FU));
      } else {
        return std::nullopt;
      }
    }
    return narrow;
  }

  template <typename T>
  Result<std::string> integer(std::uint32_t tag, const json& value) {
    if (!value.is_number_integer()) return fault(tag, "has a value that is no whole number");
    const bool fits = value.is_number_unsigned() ? std::in_range<T>(value.get<std::uint64_t>())
                                                 : std::in_range<T>(value.get<std::int64_t>());
    if (!fits) return fault(tag, "has a number that is beyond its VR");
    std::string out;
    number(out,
           value.is_number_unsigned() ? value.get<std::uint64_t>()
                                      : static_cast<std::uint64_t>(value.get<std::int64_t>()),
           sizeof(T));
    return out;
  }

  Result<std::string> numeric(std::uint32_t tag, std::string_view vr, const json& value) {
    if (vr == "AT") return tag_value(tag, value);
    if (vr == "US") return integer<std::uint16_t>(tag, value);
    if (vr == "SS") return integer<std::int16_t>(tag, value);
    if (vr == "UL") return integer<std::uint32_t>(tag, value);
    if (vr == "SL") return integer<std::int32_t>(tag, value);
    if (vr == "UV") return integer<std::uint64_t>(tag, value);
    if (vr == "SV") return integer<std::int64_t>(tag, value);
    const bool is_float = vr == "FL" || vr == "FD";
    if (!is_float) return fault(tag, "has a VR that is not known");
    if (!value.is_number()) return fault(tag, "has a value that is no number");
    std::string out;
    if (vr == "FL") {
      number(out, std::bit_cast<std::uint32_t>(value.get<float>()), 4);
    } else {
      number(out, std::bit_cast<std::uint64_t>(value.get<double>()), 8);
    }
    return out;
  }

  Result<std::string> tag_value(std::uint32_t tag, const json& value) {
    std::uint32_t named = 0;
    const std::string hex = value.is_string() ? value.get<std::string>() : std::string();
    const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), named, 16);
    if (hex.size() != 8 || error != std::errc() || end != hex.data() + hex.size()) {
      return fault(tag, "has a value that is no tag");
    }
    std::string out;
    u16(out, named >> 16);
    u16(out, named & 0xFFFF);
    return out;
  }

  Result<std::string> binary(std::uint32_t tag, std::string_view vr, const json& value) {
    std::optional<Bytes> bytes;
    if (value.is_string()) bytes = from_base64(value.get_ref<const std::string&>());
    const std::size_t word = word_of(vr);
    if (!bytes || bytes->size() % word != 0) return fault(tag, "has a value that is no base64");
    if (encoding_.big_endian) {
      for (std::size_t at = 0; at < bytes->size(); at += word) {
        const auto from = bytes->begin() + static_cast<std::ptrdiff_t>(at);
        std::reverse(from, from + static_cast<std::ptrdiff_t>(word));
      }
    }
    return std::string(as_text(*bytes));
  }

  Result<std::string> items(std::uint32_t tag, const json& value, int level) {
    if (!value.is_array()) return fault(tag, "has a value that is no list of items");
    if (level >= kMostLevels) return fault(tag, "has sequences nested too deeply");
    std::string all;
    for (const json& item : value) {
      if (!item.is_object()) return fault(tag, "has an item that is no object");
      std::vector<std::pair<std::uint32_t, std::string>> elements;
      for (const auto& [name, inner] : item.items()) {
        const auto known = look_up_(name);
        std::uint32_t place = 0;
        const bool is_known =
            known &&
            std::from_chars(known->tag.data(), known->tag.data() + known->tag.size(), place, 16)
                    .ec == std::errc();
        if (!is_known) return fault(tag, "has an item with an element that nobody knows");
        TRY_ASSIGN(std::string bytes, element(place, known->vr, inner, level + 1));
        elements.emplace_back(place, std::move(bytes));
      }
      std::ranges::sort(elements);
      std::string content;
      for (const auto& one : elements) content += one.second;
      u16(all, kItem >> 16);
      u16(all, kItem & 0xFFFF);
      u32(all, static_cast<std::uint32_t>(content.size()));
      all += content;
    }
    return all;
  }

  const ElementEncoding& encoding_;
  const ElementLookup& look_up_;
};

}  // namespace

Result<std::string> print_element(std::uint32_t tag, std::string_view vr, std::string_view value,
                                  const ElementEncoding& encoding, const ElementLookup& look_up) {
  const json parsed = json::parse(value, nullptr, false);
  if (parsed.is_discarded()) {
    return permanent_error("metadata.unsupported", "A value is no JSON.");
  }
  return Printer(encoding, look_up).element(tag, vr, parsed, 0);
}

bool is_ascii(std::string_view value) {
  const json parsed = json::parse(value, nullptr, false);
  if (parsed.is_discarded()) return true;
  return std::ranges::all_of(parsed.dump(-1, ' ', false, json::error_handler_t::replace),
                             [](unsigned char c) { return c < 0x80; });
}

}  // namespace isthmus::wire
