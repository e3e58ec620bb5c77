// DCMTK's own conversion was tried and left: as Debian builds it, it knows no Japanese, and gives
// up a whole value for one byte. This one goes character by character over the C library's iconv.
#include "datastore/engine/dicom_text.h"

#include <iconv.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

namespace isthmus::datastore {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr char kEscape = '\x1B';
constexpr const char* kKatakana = "SHIFT_JIS";  // whose single bytes from 0xA1 are JIS X 0201

struct Term {
  std::string_view name;  // what is behind "ISO_IR " or "ISO 2022 IR "
  const char* encoding;
};

// PS3.3 Tables C.12-2 and C.12-3: single-byte character sets, by their upper half.
constexpr std::array kSingleByte{
    Term{"100", "ISO-8859-1"},  Term{"101", "ISO-8859-2"}, Term{"109", "ISO-8859-3"},
    Term{"110", "ISO-8859-4"},  Term{"144", "ISO-8859-5"}, Term{"127", "ISO-8859-6"},
    Term{"126", "ISO-8859-7"},  Term{"138", "ISO-8859-8"}, Term{"148", "ISO-8859-9"},
    Term{"203", "ISO-8859-15"}, Term{"166", "TIS-620"},    Term{"13", kKatakana},
};

// Behind the escape character, what a designation reads and means (PS3.3 Tables C.12-3 and C.12-4).
struct Designation {
  std::string_view sequence;
  bool upper;            // G1, bytes from 0x80
  const char* encoding;  // null: ASCII
  bool pairs;
  std::string_view prefix = "";  // in front of a pair, in that encoding
};

constexpr std::array kDesignations{
    Designation{"(B", false, nullptr, false},
    Designation{"(J", false, nullptr, false},  // JIS X 0201 romaji: ASCII but for two signs
    Designation{"$B", false, "EUC-JP", true},
    Designation{"$@", false, "EUC-JP", true},
    Designation{"$(D", false, "EUC-JP", true, "\x8F"},
    Designation{")I", true, kKatakana, false},
    Designation{"$)C", true, "EUC-KR", true},
    Designation{"$)A", true, "GB2312", true},
    Designation{"-A", true, "ISO-8859-1", false},
    Designation{"-B", true, "ISO-8859-2", false},
    Designation{"-C", true, "ISO-8859-3", false},
    Designation{"-D", true, "ISO-8859-4", false},
    Designation{"-L", true, "ISO-8859-5", false},
    Designation{"-G", true, "ISO-8859-6", false},
    Designation{"-F", true, "ISO-8859-7", false},
    Designation{"-H", true, "ISO-8859-8", false},
    Designation{"-M", true, "ISO-8859-9", false},
    Designation{"-b", true, "ISO-8859-15", false},
    Designation{"-T", true, "TIS-620", false},
};

std::string_view without_trailing_nuls(std::string_view value) {
  while (!value.empty() && value.back() == '\0') value.remove_suffix(1);
  return value;
}

bool is_upper_half(char c) {
  return static_cast<unsigned char>(c) >= 0x80;
}

bool plain_ascii(std::string_view value) {
  return std::all_of(value.begin(), value.end(),
                     [](char c) { return c != '\0' && !is_upper_half(c) && c != kEscape; });
}

// Bytes of the UTF-8 character at the front, 0 when there is none (Unicode 15, Table 3-7).
std::size_t utf8_length(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const auto second = static_cast<unsigned char>(text.size() > 1 ? text[1] : 0);
  if (first < 0x80) return 1;
  std::size_t length = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) length = 2;
  if (first >= 0xE0 && first <= 0xEF) length = 3;
  if (first >= 0xF0 && first <= 0xF4) length = 4;
  if (first == 0xE0) low = 0xA0;
  if (first == 0xED) high = 0x9F;
  if (first == 0xF0) low = 0x90;
  if (first == 0xF4) high = 0x8F;
  if (length == 0 || text.size() < length || second < low || second > high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) return 0;
  }
  return length;
}

// A conversion to UTF-8, or the null that says that this system has none.
class Conversion {
 public:
  explicit Conversion(const char* encoding) : handle_(iconv_open("UTF-8", encoding)) {}
  ~Conversion() {
    if (handle_ != none()) iconv_close(handle_);
  }
  Conversion(const Conversion&) = delete;
  Conversion& operator=(const Conversion&) = delete;
  iconv_t handle() const { return handle_ == none() ? nullptr : handle_; }

 private:
  static iconv_t none() { return reinterpret_cast<iconv_t>(-1); }

  iconv_t handle_;
};

// Each stays open for as long as the process lives. One thread.
iconv_t conversion_from(const char* encoding) {
  static std::map<std::string_view, Conversion> open;
  return open.try_emplace(encoding, encoding).first->second.handle();
}

// One character, all of its bytes; nothing when they are none in this encoding.
std::optional<std::string> character(const char* encoding, std::string_view bytes) {
  const iconv_t conversion = conversion_from(encoding);
  if (conversion == nullptr) return std::nullopt;
  char* in = const_cast<char*>(bytes.data());
  std::size_t in_left = bytes.size();
  std::array<char, 16> buffer;
  char* out = buffer.data();
  std::size_t out_left = buffer.size();
  iconv(conversion, nullptr, nullptr, nullptr, nullptr);
  const std::size_t rc = iconv(conversion, &in, &in_left, &out, &out_left);
  if (rc == static_cast<std::size_t>(-1) || in_left > 0) return std::nullopt;
  return std::string(buffer.data(), out);
}

// GB18030 and GBK: a character has one, two or four bytes, and a second byte may be a backslash.
std::string decode_multi_byte(const char* encoding, std::string_view value) {
  std::string text;
  while (!value.empty()) {
    std::size_t taken = 1;
    std::optional<std::string> found;
    for (const std::size_t length : {1U, 2U, 4U}) {
      if (found || length > value.size() || value[0] == '\0') continue;
      found = character(encoding, value.substr(0, length));
      taken = found ? length : 1;
    }
    text += found ? *found : std::string(kReplacement);
    value.remove_prefix(taken);
  }
  return text;
}

// ISO 2022 as DICOM has it: an escape sequence changes one half until the next delimiter.
class Iso2022 {
 public:
  Iso2022(const char* upper, std::string_view delimiters)
      : delimiters_(delimiters), initial_upper_{"", true, upper, false} {
    reset();
  }

  std::string decode(std::string_view value) {
    std::string text;
    while (!value.empty()) {
      if (value[0] == kEscape && designate(value)) continue;
      const Designation& half = is_upper_half(value[0]) ? upper_ : lower_;
      if (!half.upper && half.encoding == nullptr) {
        text += value[0] == '\0' ? std::string(kReplacement) : std::string(1, value[0]);
        if (ends_extension(value[0])) reset();
        value.remove_prefix(1);
        continue;
      }
      take_character(half, value, text);
    }
    return text;
  }

 private:
  void reset() {
    lower_ = kDesignations[0];
    upper_ = initial_upper_;
  }

  bool ends_extension(char c) const {
    return delimiters_.find(c) != std::string_view::npos || c == '\n' || c == '\f' || c == '\r' ||
           c == '\t';
  }

  // Takes an escape sequence from the front, if it is one.
  bool designate(std::string_view& value) {
    for (const Designation& one : kDesignations) {
      if (!value.substr(1).starts_with(one.sequence)) continue;
      (one.upper ? upper_ : lower_) = one;
      value.remove_prefix(1 + one.sequence.size());
      return true;
    }
    return false;
  }

  static void take_character(const Designation& half, std::string_view& value, std::string& text) {
    const std::size_t length = half.pairs ? 2 : 1;
    std::optional<std::string> found;
    // The escape that could not be read, and spaces and controls, are no characters of a pair set.
    const bool graphic = static_cast<unsigned char>(value[0]) > 0x20;
    if (half.encoding != nullptr && graphic && value.size() >= length) {
      std::string bytes(half.prefix);
      for (const char c : value.substr(0, length)) {
        bytes += static_cast<char>(static_cast<unsigned char>(c) | (half.pairs ? 0x80 : 0));
      }
      found = character(half.encoding, bytes);
    }
    const bool as_it_is = !found && !graphic && value[0] != '\0';
    text += found ? *found : as_it_is ? std::string(1, value[0]) : std::string(kReplacement);
    value.remove_prefix(found ? length : 1);
  }

  const std::string_view delimiters_;
  const Designation initial_upper_;
  Designation lower_{};
  Designation upper_{};
};

}  // namespace

TextDecoder::TextDecoder(std::string_view specific_character_set) {
  std::string_view first = specific_character_set.substr(0, specific_character_set.find('\\'));
  while (!first.empty() && (first.back() == ' ' || first.back() == '\0')) first.remove_suffix(1);
  while (!first.empty() && first.front() == ' ') first.remove_prefix(1);
  if (first == "ISO_IR 192") kind_ = Kind::utf8;
  if (first == "GB18030" || first == "GBK") {
    kind_ = Kind::multi_byte;
    encoding_ = "GB18030";  // which GBK is a part of
  }
  for (const std::string_view prefix : {"ISO_IR ", "ISO 2022 IR "}) {
    if (!first.starts_with(prefix)) continue;
    const std::string_view number = first.substr(prefix.size());
    for (const Term& term : kSingleByte) {
      if (term.name == number) encoding_ = term.encoding;
    }
  }
}

std::string TextDecoder::decode(std::string_view value, std::string_view delimiters) const {
  value = without_trailing_nuls(value);
  if (plain_ascii(value)) return std::string(value);
  if (kind_ == Kind::utf8) return clean_utf8(value);
  if (kind_ == Kind::multi_byte) return decode_multi_byte(encoding_, value);
  return Iso2022(encoding_, delimiters).decode(value);
}

std::string ascii_text(std::string_view value) {
  std::string text;
  for (const char c : without_trailing_nuls(value)) {
    text += c == '\0' || is_upper_half(c) ? std::string(kReplacement) : std::string(1, c);
  }
  return text;
}

std::string clean_utf8(std::string_view value) {
  value = without_trailing_nuls(value);
  std::string text;
  while (!value.empty()) {
    const std::size_t length = value[0] == '\0' ? 0 : utf8_length(value);
    text += length == 0 ? kReplacement : value.substr(0, length);
    value.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return text;
}

}  // namespace isthmus::datastore
