#include "base/checksums.h"

#include <openssl/evp.h>

#include "base/freed.h"
#include "base/result.h"

namespace isthmus {
namespace {

using Crc64Tables = std::array<std::array<std::uint64_t, 256>, 8>;

constexpr Crc64Tables make_crc64_tables() {
  // NVM Express NVM Command Set, "64b CRC polynomial" AD93D23594C93659h, reflected.
  constexpr std::uint64_t kPolynomial = 0x9A6C9329AC4BC9B5U;
  Crc64Tables tables{};
  for (std::uint64_t i = 0; i < 256; ++i) {
    std::uint64_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? kPolynomial : 0U);
    tables[0][i] = crc;
  }
  for (std::size_t i = 0; i < 256; ++i) {
    for (std::size_t t = 1; t < 8; ++t) {
      tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xFFU];
    }
  }
  return tables;
}
constexpr Crc64Tables kCrc64 = make_crc64_tables();

}  // namespace

struct Sha1::State {
  State() : context(EVP_MD_CTX_new()) { start(); }
  void start() {
    ASSERT(context != nullptr);
    ASSERT(EVP_DigestInit_ex(context.get(), EVP_sha1(), nullptr) == 1);
  }
  std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>> context;
};
Sha1::Sha1() : state_(std::make_unique<State>()) {}
Sha1::~Sha1() = default;
Sha1::Sha1(Sha1&&) noexcept = default;
Sha1& Sha1::operator=(Sha1&&) noexcept = default;
void Sha1::update(ByteSpan bytes) {
  ASSERT(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
}
std::array<std::byte, 20> Sha1::finish() {
  std::array<std::byte, 20> value{};
  unsigned int length = 0;
  ASSERT(EVP_DigestFinal_ex(state_->context.get(), reinterpret_cast<unsigned char*>(value.data()),
                            &length) == 1);
  ASSERT(length == value.size());
  state_->start();
  return value;
}

std::uint64_t crc64nvme(ByteSpan bytes, std::uint64_t so_far) {
  std::uint64_t crc = ~so_far;
  const auto byte_at = [&](std::size_t i) { return static_cast<std::uint64_t>(bytes[i]); };
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {  // eight tables, eight bytes a round
    for (std::size_t k = 0; k < 8; ++k) crc ^= byte_at(i + k) << (8 * k);
    std::uint64_t next = 0;
    for (std::size_t k = 0; k < 8; ++k) next ^= kCrc64[7 - k][(crc >> (8 * k)) & 0xFFU];
    crc = next;
  }
  for (; i < bytes.size(); ++i) crc = (crc >> 8) ^ kCrc64[0][(crc ^ byte_at(i)) & 0xFFU];
  return ~crc;
}

}  // namespace isthmus
