#include "senders/address_range.h"

#include <algorithm>
#include <charconv>

namespace isthmus {
namespace {

constexpr int kMappedPrefixBits = 96;

std::optional<int> parse_prefix_bits(std::string_view text, int most) {
  int bits = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits);
  if (error != std::errc() || end != text.data() + text.size() || bits < 0 || bits > most) {
    return std::nullopt;
  }
  return bits;
}

AddressBytes masked(AddressBytes bytes, int prefix_bits) {
  for (int i = 0; i < 16; ++i) {
    const int kept = std::clamp(prefix_bits - 8 * i, 0, 8);
    auto& byte = bytes[static_cast<std::size_t>(i)];
    byte = static_cast<std::uint8_t>(byte & (0xff00 >> kept));
  }
  return bytes;
}

}  // namespace

std::optional<AddressRange> AddressRange::parse(std::string_view text) {
  const auto slash = text.find('/');
  const std::string_view address = text.substr(0, slash);
  const auto bytes = parse_address(address);
  if (!bytes) return std::nullopt;
  AddressRange range;
  range.bytes_ = *bytes;
  if (slash == std::string_view::npos) return range;
  const bool v4 = address.find(':') == std::string_view::npos;
  const auto bits = parse_prefix_bits(text.substr(slash + 1), v4 ? 32 : 128);
  if (!bits) return std::nullopt;
  range.prefix_bits_ = v4 ? *bits + kMappedPrefixBits : *bits;
  if (masked(range.bytes_, range.prefix_bits_) != range.bytes_) return std::nullopt;
  return range;
}

bool AddressRange::contains(std::string_view address) const {
  const auto bytes = parse_address(address);
  if (!bytes) return false;
  // ::/0 is every IPv6 address, not every IPv4 one.
  if (is_ipv4(*bytes) && prefix_bits_ < kMappedPrefixBits) return false;
  return masked(*bytes, prefix_bits_) == bytes_;
}

std::string AddressRange::text() const {
  std::string text = address_text(bytes_);
  if (prefix_bits_ == 128) return text;
  const bool v4 = is_ipv4(bytes_) && prefix_bits_ >= kMappedPrefixBits;
  return text + "/" + std::to_string(v4 ? prefix_bits_ - kMappedPrefixBits : prefix_bits_);
}

}  // namespace isthmus
