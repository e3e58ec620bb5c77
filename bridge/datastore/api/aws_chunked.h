// The body form "aws-chunked" of S3 (x-amz-content-sha256: STREAMING-…): the payload in chunks of
// its own inside the HTTP body, each perhaps signed, with checksums in a trailer behind the last.
// Stock SDKs send it by default. Source: Amazon S3 API Reference, "Signature Calculations for the
// Authorization Header: Transferring Payload in Multiple Chunks" and "… including Trailing
// Headers".
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "wire/sigv4.h"

namespace isthmus::datastore {

// What x-amz-content-sha256 says about the body.
struct PayloadForm {
  bool chunked = false;          // aws-chunked
  bool chunks_signed = false;    // each chunk carries chunk-signature
  bool trailer = false;          // header fields follow the last chunk
  std::optional<Digest> sha256;  // of the whole payload, when it is said
};
// From the header's value; nothing when it is none of the known forms.
std::optional<PayloadForm> payload_form(std::string_view content_sha256);

// What the signature of the first chunk continues from.
struct ChunkSigning {
  std::string secret_access_key;
  wire::sigv4::Scope scope;
  std::string amz_date;
  std::string seed_signature;  // of the request's headers
};

// Takes an aws-chunked body apart as it comes. Bounded memory: a chunk is passed on in pieces.
// Errors are named as S3 answers them: "InvalidRequest", "IncompleteBody",
// "SignatureDoesNotMatch", "InvalidRequest" (permanent). One thread.
class AwsChunkedDecoder {
 public:
  using Sink = std::function<Result<void>(ByteSpan)>;

  // `signing` is needed exactly when form.chunks_signed.
  AwsChunkedDecoder(const PayloadForm& form, std::optional<ChunkSigning> signing);
  Result<void> feed(ByteSpan bytes, const Sink& sink);
  // After the last byte.
  Result<void> finish();
  // Names in lower case.
  const std::vector<std::pair<std::string, std::string>>& trailers() const { return trailers_; }

 private:
  enum class State { size_line, data, data_end, trailer_line, done };

  Result<void> take_line(std::string line);
  Result<void> begin_chunk(std::string_view line);
  Result<void> end_chunk();
  Result<void> take_trailer(std::string_view line);
  Result<void> end_trailers();
  Result<void> check_signature(std::string_view algorithm, const std::string& hashes,
                               std::string_view claimed);

  const PayloadForm form_;
  std::optional<ChunkSigning> signing_;
  State state_ = State::size_line;
  std::string line_;
  std::uint64_t left_ = 0;  // of the chunk in hand
  bool last_chunk_ = false;
  std::string chunk_signature_, trailer_signature_;
  Sha256 chunk_hash_;
  std::size_t trailer_bytes_ = 0;
  std::string trailer_text_;  // as it is signed
  std::vector<std::pair<std::string, std::string>> trailers_;
};

}  // namespace isthmus::datastore
