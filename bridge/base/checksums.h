// Checksums that only S3 asks for, beside those of base/digest.h.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "base/bytes.h"

namespace isthmus {

// SHA-1 over a stream: x-amz-checksum-sha1 only, never as protection. finish() gives the value and
// starts over. One thread.
class Sha1 {
 public:
  Sha1();
  ~Sha1();
  Sha1(Sha1&&) noexcept;
  Sha1& operator=(Sha1&&) noexcept;
  void update(ByteSpan bytes);
  std::array<std::byte, 20> finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// CRC-64/NVME (NVM Express, "64b CRC"; what S3 calls CRC64NVME), continuing from `so_far`.
std::uint64_t crc64nvme(ByteSpan bytes, std::uint64_t so_far = 0);

}  // namespace isthmus
