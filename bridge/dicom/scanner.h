// Walks every element of a data set without recursion and within limits: what must pass before
// DCMTK, whose parser is recursive and trusts lengths, may see the bytes (MEASURED.md section 10).
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace isthmus::dicom {

struct ScanLimits {
  std::uint32_t nesting = 64;
  std::uint64_t elements = 1'000'000;
  std::uint64_t inflated_bytes = 4 * GiB;
  // Out/in once more than any_ratio_bytes came out. DEFLATE itself ends at about 1,032, and blank
  // images reach that: they are let through up to a size that costs nothing.
  std::uint32_t inflate_ratio = 200;
  std::uint64_t any_ratio_bytes = 64 * MiB;
  std::uint64_t value_bytes = 4 * GiB;
};

struct ScanReport {
  std::uint64_t elements = 0;
  std::uint32_t deepest_nesting = 0;
  bool has_pixel_data = false;          // (7FE0,0008), (7FE0,0009) or (7FE0,0010)
  std::uint64_t pixel_data_offset = 0;  // of its head in the data set (inflated, if it is deflated)
  std::uint64_t dataset_bytes = 0;      // without the padding, inflated
  std::uint64_t padding_bytes = 0;      // zeros behind the last element: not part of the data set
  std::uint64_t fragments = 0;          // of encapsulated pixel data, without the offset table
  // The Basic Offset Table of encapsulated pixel data is there, and is empty or points at
  // fragments.
  bool offset_table_valid = true;
  std::uint64_t frames_in_offset_table = 0;
};

// The ratio and inflated_bytes are for deflated syntaxes; DEFLATE itself stays below 1,032 : 1.
// A whole data set in the given transfer syntax from a source positioned at its first byte.
// "dicom.unreadable", "dicom.too_deep", "dicom.too_many_elements", "dicom.truncated",
// "dicom.inflate_bomb" (permanent); the message says at which byte and tag.
Result<ScanReport> scan_dataset(ByteSource& dataset, std::string_view transfer_syntax_uid,
                                const ScanLimits& limits = {});

}  // namespace isthmus::dicom
