#include "datastore/engine/object_checksums.h"

#include <array>

#include "base/checksums.h"
#include "base/digest.h"

namespace isthmus::datastore {
namespace {

constexpr ChecksumKind kKinds[] = {
    {"crc32", "ChecksumCRC32", 4, true, true},          {"crc32c", "ChecksumCRC32C", 4, true, true},
    {"crc64nvme", "ChecksumCRC64NVME", 8, false, true}, {"sha1", "ChecksumSHA1", 20, true, false},
    {"sha256", "ChecksumSHA256", 32, true, false},
};

// Big-endian, as S3 writes them.
template <typename Number>
std::string base64_of(Number crc) {
  std::array<std::byte, sizeof(Number)> raw{};
  for (std::size_t i = 0; i < raw.size(); ++i) {
    raw[i] = static_cast<std::byte>(crc >> (8 * (raw.size() - 1 - i)));
  }
  return to_base64(raw);
}

}  // namespace

const ChecksumKind* checksum_kind(std::string_view name) {
  for (const ChecksumKind& kind : kKinds) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

struct RunningChecksum::State {
  std::string name;
  std::uint32_t crc32 = 0;
  std::uint64_t crc64 = 0;
  Sha1 sha1;
  Sha256 sha256;
};

RunningChecksum::RunningChecksum(std::string_view name) {
  if (checksum_kind(name) == nullptr) return;
  state_ = std::make_unique<State>();
  state_->name = name;
}
RunningChecksum::~RunningChecksum() = default;
RunningChecksum::RunningChecksum(RunningChecksum&&) noexcept = default;
RunningChecksum& RunningChecksum::operator=(RunningChecksum&&) noexcept = default;

void RunningChecksum::update(ByteSpan bytes) {
  if (!state_) return;
  const std::string& name = state_->name;
  if (name == "crc32") state_->crc32 = crc32(bytes, state_->crc32);
  if (name == "crc32c") state_->crc32 = crc32c(bytes, state_->crc32);
  if (name == "crc64nvme") state_->crc64 = crc64nvme(bytes, state_->crc64);
  if (name == "sha1") state_->sha1.update(bytes);
  if (name == "sha256") state_->sha256.update(bytes);
}

std::string RunningChecksum::finish() {
  if (!state_) return "";
  const std::string& name = state_->name;
  if (name == "crc64nvme") return base64_of(state_->crc64);
  if (name == "sha1") return to_base64(state_->sha1.finish());
  if (name == "sha256") return state_->sha256.finish().base64();
  return base64_of(state_->crc32);
}

}  // namespace isthmus::datastore
