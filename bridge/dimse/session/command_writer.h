// Writes command sets: Implicit VR Little Endian, in the order in which elements are put, with the
// group length before them (PS3.7 section 6.3.1).
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace isthmus::dimse {

// Elements of group 0000, by their element number, to be put in ascending order.
class CommandWriter {
 public:
  CommandWriter() {
    bytes_.reserve(256);
    head(0x0000, 4);
    u32(0);
  }

  void number(std::uint16_t element, std::uint16_t value) {
    head(element, 2);
    u16(value);
  }
  void tag(std::uint16_t element, std::uint32_t value) {
    head(element, 4);
    u16(static_cast<std::uint16_t>(value >> 16));
    u16(static_cast<std::uint16_t>(value & 0xffff));
  }
  void uid(std::uint16_t element, std::string_view value) { padded(element, value, '\0'); }
  void text(std::uint16_t element, std::string_view value) { padded(element, value, ' '); }

  // The whole set; nothing can be put any more.
  Bytes take() {
    const auto behind_length = static_cast<std::uint32_t>(bytes_.size() - kBehindLength);
    for (std::size_t i = 0; i < 4; ++i) {
      bytes_[kBehindLength - 4 + i] = static_cast<std::byte>(behind_length >> (8 * i) & 0xff);
    }
    return std::move(bytes_);
  }

 private:
  static constexpr std::size_t kBehindLength = 12;  // of (0000,0000): tag, length, value

  void padded(std::uint16_t element, std::string_view value, char padding) {
    head(element, static_cast<std::uint32_t>(value.size() + value.size() % 2));
    const ByteSpan bytes = as_bytes(value);
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    if (value.size() % 2 != 0) bytes_.push_back(static_cast<std::byte>(padding));
  }
  void head(std::uint16_t element, std::uint32_t length) {
    u16(0);
    u16(element);
    u32(length);
  }
  void u16(std::uint16_t value) {
    bytes_.push_back(static_cast<std::byte>(value & 0xff));
    bytes_.push_back(static_cast<std::byte>(value >> 8));
  }
  void u32(std::uint32_t value) {
    u16(static_cast<std::uint16_t>(value & 0xffff));
    u16(static_cast<std::uint16_t>(value >> 16));
  }

  Bytes bytes_;
};

}  // namespace isthmus::dimse
