// Walks every element of a data set without recursion and within limits: what must pass before DCMTK,
// whose parser is recursive and trusts lengths, may see the bytes (MEASURED.md section 10).
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace isthmus::dicom {

struct ScanLimits {
  std::uint32_t nesting = 64;
  std::uint64_t elements = 1'000'000;
  std::uint64_t inflated_bytes = 4 * GiB;
  std::uint32_t inflate_ratio = 1'100;
  std::uint64_t value_bytes = 4 * GiB;
};

struct ScanReport {
  std::uint64_t elements = 0;
  std::uint32_t deepest_nesting = 0;
  bool has_pixel_data = false;
};

// A whole data set in the given transfer syntax from a source positioned at its first byte.
// "dicom.unreadable", "dicom.too_deep", "dicom.too_many_elements", "dicom.truncated",
// "dicom.inflate_bomb" (permanent); the message says at which byte and tag.
Result<ScanReport> scan_dataset(ByteSource& dataset, std::string_view transfer_syntax_uid,
                                const ScanLimits& limits = {});

}  // namespace isthmus::dicom
