#include "base/digest.h"

#include <libdeflate.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

#include "base/freed.h"
#include "base/result.h"

namespace isthmus {
namespace {

using DigestContext = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;

// Fetched once: EVP_sha256() and EVP_md5() are looked up by name at every use (crypto(7ossl),
// "Implicit fetching"). They live as long as the process.
const EVP_MD* sha256_algorithm() {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return algorithm;
}
const EVP_MD* md5_algorithm() {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "MD5", nullptr);
  return algorithm;
}

DigestContext start(const EVP_MD* algorithm) {
  DigestContext context(EVP_MD_CTX_new());
  ASSERT(context != nullptr && algorithm != nullptr);
  ASSERT(EVP_DigestInit_ex(context.get(), algorithm, nullptr) == 1);
  return context;
}

template <std::size_t Size>
std::array<std::byte, Size> conclude(DigestContext& context, const EVP_MD* algorithm) {
  std::array<std::byte, Size> value{};
  unsigned int length = 0;
  ASSERT(EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(value.data()),
                            &length) == 1);
  ASSERT(length == Size);
  ASSERT(EVP_DigestInit_ex(context.get(), algorithm, nullptr) == 1);
  return value;
}

constexpr std::array<std::array<std::uint32_t, 256>, 8> make_crc32c_tables() {
  constexpr std::uint32_t kPolynomial = 0x82F63B78U;  // Castagnoli, reflected (RFC 3720 appendix B)
  std::array<std::array<std::uint32_t, 256>, 8> tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? kPolynomial : 0U);
    tables[0][i] = crc;
  }
  for (std::uint32_t i = 0; i < 256; ++i) {
    for (std::size_t t = 1; t < 8; ++t) {
      tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xFFU];
    }
  }
  return tables;
}
constexpr auto kCrc32c = make_crc32c_tables();

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::optional<Digest> Digest::from_hex(std::string_view hex) {
  const auto bytes = isthmus::from_hex(hex);
  if (!bytes || bytes->size() != 32) return std::nullopt;
  std::array<std::byte, 32> raw{};
  std::copy(bytes->begin(), bytes->end(), raw.begin());
  return Digest(raw);
}

std::string Digest::hex() const {
  return to_hex(raw_);
}
std::string Digest::base64() const {
  return to_base64(raw_);
}

struct Sha256::State {
  DigestContext context = start(sha256_algorithm());
};
Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
void Sha256::update(ByteSpan bytes) {
  ASSERT(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
}
Digest Sha256::finish() {
  return Digest(conclude<32>(state_->context, sha256_algorithm()));
}

struct Md5::State {
  DigestContext context = start(md5_algorithm());
};
Md5::Md5() : state_(std::make_unique<State>()) {}
Md5::~Md5() = default;
Md5::Md5(Md5&&) noexcept = default;
Md5& Md5::operator=(Md5&&) noexcept = default;
void Md5::update(ByteSpan bytes) {
  ASSERT(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
}
std::array<std::byte, 16> Md5::finish() {
  return conclude<16>(state_->context, md5_algorithm());
}

Digest sha256(ByteSpan bytes) {
  Sha256 state;
  state.update(bytes);
  return state.finish();
}

std::array<std::byte, 16> md5(ByteSpan bytes) {
  Md5 state;
  state.update(bytes);
  return state.finish();
}

Digest hmac_sha256(ByteSpan key, ByteSpan message) {
  std::array<std::byte, 32> value{};
  unsigned int length = 0;
  ASSERT(HMAC(sha256_algorithm(), key.data(), static_cast<int>(key.size()),
              reinterpret_cast<const unsigned char*>(message.data()), message.size(),
              reinterpret_cast<unsigned char*>(value.data()), &length) != nullptr);
  return Digest(value);
}

std::uint32_t crc32(ByteSpan bytes, std::uint32_t so_far) {
  return libdeflate_crc32(so_far, bytes.data(), bytes.size());
}

std::uint32_t crc32c(ByteSpan bytes, std::uint32_t so_far) {
  std::uint32_t crc = ~so_far;
  const auto byte_at = [&](std::size_t i) { return static_cast<std::uint32_t>(bytes[i]); };
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {  // eight tables, eight bytes a round
    crc ^= byte_at(i) | byte_at(i + 1) << 8 | byte_at(i + 2) << 16 | byte_at(i + 3) << 24;
    crc = kCrc32c[7][crc & 0xFFU] ^ kCrc32c[6][(crc >> 8) & 0xFFU] ^
          kCrc32c[5][(crc >> 16) & 0xFFU] ^ kCrc32c[4][crc >> 24] ^ kCrc32c[3][byte_at(i + 4)] ^
          kCrc32c[2][byte_at(i + 5)] ^ kCrc32c[1][byte_at(i + 6)] ^ kCrc32c[0][byte_at(i + 7)];
  }
  for (; i < bytes.size(); ++i) crc = (crc >> 8) ^ kCrc32c[0][(crc ^ byte_at(i)) & 0xFFU];
  return ~crc;
}

std::string to_hex(ByteSpan bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text(bytes.size() * 2, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    text[2 * i] = kDigits[std::to_integer<std::size_t>(bytes[i]) >> 4];
    text[2 * i + 1] = kDigits[std::to_integer<std::size_t>(bytes[i]) & 0xF];
  }
  return text;
}

std::optional<Bytes> from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) return std::nullopt;
  Bytes bytes(hex.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const int high = hex_value(hex[2 * i]);
    const int low = hex_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes[i] = static_cast<std::byte>(high * 16 + low);
  }
  return bytes;
}

std::string to_base64(ByteSpan bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                     reinterpret_cast<const unsigned char*>(bytes.data()),
                                     static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

std::optional<Bytes> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                        (c >= '0' && c <= '9') || c == '+' || c == '/';
    if (c == '=') {
      ++padding;
    } else if (!letter || padding > 0) {
      return std::nullopt;
    }
  }
  if (padding > 2) return std::nullopt;
  Bytes bytes(text.size() / 4 * 3);
  if (bytes.empty()) return bytes;
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  if (length < 0) return std::nullopt;
  bytes.resize(static_cast<std::size_t>(length) - padding);
  return bytes;
}

bool equal_secrets(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace isthmus
