// Numeric network addresses as bytes and text; names are never looked up here.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace isthmus {

// 16 bytes of an IPv6 address. An IPv4 one is mapped into them (RFC 4291 section 2.5.5.2), as a
// listener for both sees it.
using AddressBytes = std::array<std::uint8_t, 16>;

// "192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7". Nothing when it is not a numeric address.
std::optional<AddressBytes> parse_address(std::string_view text);
// Mapped ones as IPv4, others in the shortest form.
std::string address_text(const AddressBytes& bytes);
bool is_ipv4(const AddressBytes& bytes);

}  // namespace isthmus
