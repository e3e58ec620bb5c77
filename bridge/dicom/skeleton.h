// A data set without its bulk: small enough for a parser to have in memory, scanned before,
// inflated when it was deflated. What the importer's worker gives to DCMTK.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "dicom/scanner.h"

namespace isthmus::dicom {

struct SkeletonLimits {
  ScanLimits scan = {};
  std::uint64_t value_bytes = 4 * MiB;       // longer values of the top level are left out
  std::uint64_t skeleton_bytes = 128 * MiB;  // of what is left
};

// An element of the top level that was left out, head and value.
struct Omission {
  std::uint32_t tag = 0;    // group in the upper half
  std::string vr;           // empty in Implicit VR
  std::uint64_t begin = 0;  // of the head in the (inflated) data set
  std::uint64_t value_begin = 0;
  std::uint64_t end = 0;      // behind the value, its delimiter included
  bool encapsulated = false;  // pixel data in fragments
};

// A fragment of encapsulated pixel data.
struct Fragment {
  std::uint64_t offset = 0;  // of its item's head in the data set
  std::uint64_t length = 0;  // of its value, eight bytes behind that
  bool begins_code_stream = false;
};

// Where the frames of encapsulated pixel data may begin (PS3.5 section A.4). Offsets count from the
// first fragment's item.
struct FragmentTables {
  std::vector<Fragment> fragments;
  std::vector<std::uint64_t> basic_offsets;  // as far as the table is valid
  std::string extended_offsets;              // (7FE0,0001) and (7FE0,0002), as they stand there
  std::string extended_lengths;
};

struct Skeleton {
  ScanReport scan;
  FragmentTables pixels;
  std::string bytes;  // in the same byte order and VR kind as the data set, never deflated
  std::vector<Omission> omitted;

  const Omission* find(std::uint32_t tag) const;
};

// Scans the whole data set, then copies it without padding, pixel data (7FE0,0008), (7FE0,0009),
// (7FE0,0010) and values that are too long; reads `dataset` twice. Errors as scan_dataset, and
// "dicom.too_large" (permanent) when what is left is beyond the limit.
Result<Skeleton> read_skeleton(ByteSource& dataset, std::string_view transfer_syntax_uid,
                               const SkeletonLimits& limits = {});

// All bytes of a data set from its first on, inflated when it was deflated, until `sink` returns
// false; offsets of a skeleton count in these. Errors as scan_dataset's of a deflated stream.
Result<void> read_dataset(ByteSource& dataset, std::string_view transfer_syntax_uid,
                          const ScanLimits& limits, const std::function<bool(ByteSpan)>& sink);

}  // namespace isthmus::dicom
