#include "base/address.h"

#include <arpa/inet.h>

#include <algorithm>

namespace isthmus {
namespace {

constexpr AddressBytes kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::size_t kMappedPrefixBytes = 12;

}  // namespace

std::optional<AddressBytes> parse_address(std::string_view text) {
  const std::string terminated(text);
  if (terminated.find('\0') != std::string::npos) return std::nullopt;
  AddressBytes bytes = kMappedPrefix;
  if (::inet_pton(AF_INET, terminated.c_str(), bytes.data() + kMappedPrefixBytes) == 1) {
    return bytes;
  }
  if (::inet_pton(AF_INET6, terminated.c_str(), bytes.data()) == 1) return bytes;
  return std::nullopt;
}

std::string address_text(const AddressBytes& bytes) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool v4 = is_ipv4(bytes);
  ::inet_ntop(v4 ? AF_INET : AF_INET6, bytes.data() + (v4 ? kMappedPrefixBytes : 0), text.data(),
              text.size());
  return text.data();
}

bool is_ipv4(const AddressBytes& bytes) {
  return std::equal(bytes.begin(), bytes.begin() + kMappedPrefixBytes, kMappedPrefix.begin());
}

}  // namespace isthmus
