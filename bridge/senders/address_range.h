// Addresses that a sender may come from, as sites write them: "192.0.2.7", "10.1.0.0/16",
// "2001:db8::/48".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"

namespace isthmus {

// A network of IPv4 or IPv6. IPv4 addresses mapped into IPv6 (RFC 4291 section 2.5.5.2), as a
// listener for both sees them, are the IPv4 address that they stand for.
class AddressRange {
 public:
  // An address, or an address and the length of its prefix. Nothing when it is neither, and when
  // bits behind the prefix are set ("10.1.2.3/16"): whoever writes that means something else.
  static std::optional<AddressRange> parse(std::string_view text);

  // False for a text that is not a numeric address.
  bool contains(std::string_view address) const;
  // "10.1.0.0/16"; the whole length is left out.
  std::string text() const;

  bool operator==(const AddressRange&) const = default;

 private:
  AddressBytes bytes_{};
  int prefix_bits_ = 128;
};

}  // namespace isthmus
