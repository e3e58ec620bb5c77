// What Cloud Storage's refusals mean, and bytes that are checked on their way. Private to storage.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "http/http.h"
#include "storage/object_store.h"

namespace isthmus::gcs {

// 412: another object is there than the one that was meant. Does not leave this module.
constexpr const char* kConditionFailed = "gcs.condition_failed";
// 404 and 410 of a session: it is over. Does not leave this module.
constexpr const char* kSessionOver = "gcs.session_over";

// An error of an answer that is no success; reads its body. `missing` is what a 404 means here:
// "store.not_found", "store.no_bucket".
Error error_of(http::Response& response, WallTime now, const char* missing);

// SHA-256 and CRC-32C of a source, read from its start to its end.
struct Sums {
  Digest sha256;
  std::uint32_t crc32c = 0;
};
Result<Sums> sums_of(ByteSource& bytes);

// A source, and where it stands: parts that follow one another are read without going back.
class Cursor {
 public:
  explicit Cursor(std::shared_ptr<ByteSource> bytes) : bytes_(std::move(bytes)) {}
  std::uint64_t size() const { return bytes_->size(); }
  // The next read begins there.
  Result<void> seek(std::uint64_t offset);
  Result<std::size_t> read(MutableByteSpan into);

 private:
  const std::shared_ptr<ByteSource> bytes_;
  std::optional<std::uint64_t> at_;  // nothing: it was never rewound
};

// A part of what a cursor reads. One window is read at a time; shared because a request may be the
// last to let go of it.
std::unique_ptr<ByteSource> window_of(std::shared_ptr<Cursor> cursor, std::uint64_t offset,
                                      std::uint64_t length);

// `head`, then a source, then `tail`.
std::unique_ptr<ByteSource> joined(std::string head, std::shared_ptr<ByteSource> middle,
                                   std::string tail);

// Gives the same bytes, and at their end "store.unavailable" (transient) when their CRC-32C is not
// that of `crc32c` (base64).
std::unique_ptr<ByteSource> checked(std::unique_ptr<ByteSource> bytes, std::string crc32c);

}  // namespace isthmus::gcs
