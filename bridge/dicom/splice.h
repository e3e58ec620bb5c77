// Other elements at the top level of a data set, and everything else byte for byte as it was: what
// is changed is found by one walk that ends behind it, and nothing is decoded or written anew.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace isthmus::dicom {

struct TopElement {
  std::uint32_t tag = 0;
  std::string vr;           // empty in Implicit VR
  std::uint64_t begin = 0;  // of its head in the data set
  std::uint64_t end = 0;    // behind its value
};

struct TopLevel {
  bool implicit_vr = false;
  bool big_endian = false;
  std::string character_set;         // (0008,0005) without padding; empty: the default repertoire
  std::vector<TopElement> elements;  // up to the last tag that was asked for
  std::uint64_t end = 0;             // of these: where the rest begins
  std::uint64_t dataset_bytes = 0;

  const TopElement* find(std::uint32_t tag) const;
};

// Walks a data set from its first byte until an element behind `last`; a `last` in or behind pixel
// data is not for this. Reads no further than it must. "dicom.unsupported" (permanent) of a
// deflated data set, and the errors of scan_dataset().
Result<TopLevel> read_top_level(ByteSource& dataset, std::string_view transfer_syntax_uid,
                                std::uint32_t last);

struct NewElement {
  std::uint32_t tag = 0;
  std::optional<std::string> bytes;  // head and value as the data set has them; nothing: removed
};

// A part of the old data set, or bytes of its own.
struct Piece {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::string bytes;

  std::uint64_t size() const { return bytes.empty() ? end - begin : bytes.size(); }
};

// The new data set: elements in the order of their tags. None of `elements` may be behind what was
// walked, nor be there twice.
std::vector<Piece> splice(const TopLevel& old, std::vector<NewElement> elements);

}  // namespace isthmus::dicom
