// Digests and checksums (OpenSSL, zlib behind our types).
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace isthmus {

// A SHA-256 value. Compared and stored as 64 lower-case hex digits.
class Digest {
 public:
  Digest() = default;
  explicit Digest(const std::array<std::byte, 32>& raw) : raw_(raw) {}
  // From 64 hex digits of either case; nothing otherwise.
  static std::optional<Digest> from_hex(std::string_view hex);

  std::string hex() const;
  std::string base64() const;
  const std::array<std::byte, 32>& raw() const { return raw_; }
  // All zeros, as it is by default: a digest that was not taken.
  bool empty() const { return *this == Digest(); }
  bool operator==(const Digest&) const = default;
  auto operator<=>(const Digest&) const = default;

 private:
  std::array<std::byte, 32> raw_{};
};

// SHA-256 over a stream. finish() gives the value and starts over.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(ByteSpan bytes);
  Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// MD5 over a stream: S3 ETags and Content-MD5 only, never as protection.
class Md5 {
 public:
  Md5();
  ~Md5();
  Md5(Md5&&) noexcept;
  Md5& operator=(Md5&&) noexcept;
  void update(ByteSpan bytes);
  std::array<std::byte, 16> finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest sha256(ByteSpan bytes);
inline Digest sha256(std::string_view text) {
  return sha256(as_bytes(text));
}
std::array<std::byte, 16> md5(ByteSpan bytes);
Digest hmac_sha256(ByteSpan key, ByteSpan message);
// CRC-32 (IEEE 802.3, as zlib) and CRC-32C (Castagnoli), continuing from `so_far`.
std::uint32_t crc32(ByteSpan bytes, std::uint32_t so_far = 0);
std::uint32_t crc32c(ByteSpan bytes, std::uint32_t so_far = 0);

std::string to_hex(ByteSpan bytes);
// Nothing when not hex or of odd length.
std::optional<Bytes> from_hex(std::string_view hex);
std::string to_base64(ByteSpan bytes);
// Strict RFC 4648 section 4 with padding; nothing otherwise.
std::optional<Bytes> from_base64(std::string_view text);

// Compares secrets without telling by its duration where they differ.
bool equal_secrets(std::string_view a, std::string_view b);

}  // namespace isthmus
