// Deflated data sets (PS3.5 Annex A.5): raw DEFLATE, inflated piece by piece into a fixed buffer,
// with limits on what comes out.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/bytes.h"

namespace isthmus::dicom {

struct InflateLimits {
  std::uint64_t out_bytes = 4 * GiB;
  std::uint32_t ratio = 1'100;  // out/in, once more than this came out:
  std::uint64_t any_ratio_bytes = 1 * MiB;
};

class Inflater {
 public:
  explicit Inflater(const InflateLimits& limits);
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // Inflates all of `bytes`, giving `sink` what comes out in pieces of at most 16 KiB; `sink`
  // returns false when it wants no more. "dicom.unreadable", "dicom.inflate_bomb" (permanent).
  Result<void> feed(ByteSpan bytes, const std::function<bool(ByteSpan)>& sink);
  // After the last byte: "dicom.truncated" when the stream has not come to its end.
  Result<void> finish() const;

 private:
  Result<void> check_limits(bool too_much) const;

  struct Stream;
  const InflateLimits limits_;
  std::unique_ptr<Stream> stream_;
  std::array<std::byte, 16 * KiB> out_;
  std::uint64_t in_bytes_ = 0;
  std::uint64_t out_bytes_ = 0;
  std::uint64_t behind_bytes_ = 0;  // after the end mark
  bool ended_ = false;
};

}  // namespace isthmus::dicom
