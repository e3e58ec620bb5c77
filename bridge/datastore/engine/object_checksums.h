// The checksums that S3 keeps with an object, by the names they have in its headers: "crc32",
// "crc32c", "crc64nvme", "sha1", "sha256". Source: "Checking object integrity" (Amazon S3 User
// Guide). Any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace isthmus::datastore {

// What is known of an algorithm.
struct ChecksumKind {
  std::string_view name;     // in x-amz-checksum-<name>
  std::string_view element;  // in XML: "ChecksumCRC32"
  std::size_t bytes;
  bool of_parts;  // may be a checksum of the parts' checksums (COMPOSITE)
  bool of_whole;  // may be one of all bytes of an object of several parts (FULL_OBJECT)
};
// Null for a name that is none.
const ChecksumKind* checksum_kind(std::string_view name);

// One of them over a stream. One thread.
class RunningChecksum {
 public:
  // A name that is none (the empty one) sums nothing.
  explicit RunningChecksum(std::string_view name);
  ~RunningChecksum();
  RunningChecksum(RunningChecksum&&) noexcept;
  RunningChecksum& operator=(RunningChecksum&&) noexcept;
  void update(ByteSpan bytes);
  // Base64; empty when there is no algorithm. Once.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace isthmus::datastore
