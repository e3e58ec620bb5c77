// Reads big endian fields of a PDU from bytes that may end anywhere.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace isthmus::dimse {

// Every read gives nothing, and consumes nothing, when there are fewer bytes left than it needs.
class Cursor {
 public:
  explicit Cursor(ByteSpan bytes) : bytes_(bytes) {}

  bool at_end() const { return bytes_.empty(); }
  std::size_t left() const { return bytes_.size(); }
  std::optional<ByteSpan> take(std::size_t count) {
    if (count > bytes_.size()) return std::nullopt;
    const ByteSpan taken = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }
  bool skip(std::size_t count) { return take(count).has_value(); }
  std::optional<std::uint8_t> u8() { return number<std::uint8_t>(); }
  std::optional<std::uint16_t> u16() { return number<std::uint16_t>(); }
  std::optional<std::uint32_t> u32() { return number<std::uint32_t>(); }

 private:
  template <typename Number>
  std::optional<Number> number() {
    const auto taken = take(sizeof(Number));
    if (!taken) return std::nullopt;
    std::uint32_t value = 0;
    for (const std::byte b : *taken) value = (value << 8) | static_cast<std::uint32_t>(b);
    return static_cast<Number>(value);
  }

  ByteSpan bytes_;
};

}  // namespace isthmus::dimse
