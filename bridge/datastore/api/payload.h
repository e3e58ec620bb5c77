// The body of PutObject and UploadPart on its way into a blob: taken out of aws-chunked, and held
// against everything the sender said about it before anything is kept.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "datastore/api/aws_chunked.h"
#include "datastore/engine/blobs.h"
#include "datastore/engine/object_checksums.h"
#include "http/http.h"

namespace isthmus::datastore {

// One of the checksums of x-amz-checksum-<algorithm>.
struct Checksum {
  std::string algorithm;  // see engine/object_checksums.h; empty: none was said
  std::string value;      // base64
  bool operator==(const Checksum&) const = default;
};

struct ReceivedPayload {
  BlobPin blob;
  std::array<std::byte, 16> md5{};
  Checksum checksum;
};

// What the sender says about the body, from the head of the request.
struct PayloadClaims {
  PayloadForm form;
  std::uint64_t size_bytes = 0;            // of the payload itself
  std::optional<std::string> content_md5;  // 16 bytes, decoded
  Checksum checksum;                       // value empty: it comes in the trailer
  bool checksum_in_trailer = false;
};

// Errors are named as S3 answers them: "MissingContentLength", "InvalidDigest", "InvalidRequest",
// "EntityTooLarge", "NotImplemented" (permanent).
Result<PayloadClaims> read_payload_claims(const http::Head& head);

// Holds what comes against the claims. One thread.
class PayloadCheck {
 public:
  explicit PayloadCheck(PayloadClaims claims)
      : claims_(std::move(claims)), sum_(is_the_digest() ? "" : claims_.checksum.algorithm) {}
  // "IncompleteBody" as soon as more comes than was said.
  Result<void> update(ByteSpan bytes);
  // After the last byte; `digest` of all that was given to update(), `trailers` of the body.
  // "XAmzContentSHA256Mismatch", "BadDigest", "IncompleteBody", "InvalidRequest".
  Result<void> finish(const Digest& digest,
                      const std::vector<std::pair<std::string, std::string>>& trailers);
  const PayloadClaims& claims() const { return claims_; }
  const std::array<std::byte, 16>& md5() const { return md5_value_; }  // after finish()

 private:
  // The checksum is what finish() is given anyway: nothing is summed twice.
  bool is_the_digest() const { return claims_.checksum.algorithm == "sha256"; }
  Result<void> check_checksum(const Digest& digest,
                              const std::vector<std::pair<std::string, std::string>>& trailers);

  PayloadClaims claims_;
  std::uint64_t size_bytes_ = 0;
  Md5 md5_;
  std::array<std::byte, 16> md5_value_{};
  RunningChecksum sum_;
};

// The payload of a small body that is there already, checked in the same way.
Result<std::string> read_small_payload(const http::Head& head, std::string_view body,
                                       std::optional<ChunkSigning> signing);

// Destroyed without finish(), nothing is kept. One thread.
class PayloadReader {
 public:
  PayloadReader(PayloadClaims claims, std::optional<ChunkSigning> signing,
                std::unique_ptr<BlobWriter> blob);
  Result<void> feed(ByteSpan bytes);
  // Durable when this returns. "XAmzContentSHA256Mismatch", "BadDigest", "IncompleteBody",
  // "InvalidRequest", and those of the decoder (permanent); those of BlobWriter.
  Result<ReceivedPayload> finish();

 private:
  Result<void> take(ByteSpan bytes);

  PayloadCheck check_;
  std::optional<AwsChunkedDecoder> decoder_;
  std::unique_ptr<BlobWriter> blob_;
};

}  // namespace isthmus::datastore
