#include "datastore/api/payload.h"

#include <algorithm>
#include <charconv>

namespace isthmus::datastore {
namespace {

constexpr std::uint64_t kLargestPut = 5 * GiB;  // S3: a single PUT, or a part

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || failure != std::errc{} || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

// "x-amz-checksum-crc32" → "crc32"; nothing for another header, an error for an algorithm not known
// here.
Result<std::optional<std::string>> checksum_algorithm(std::string_view header_name) {
  constexpr std::string_view kPrefix = "x-amz-checksum-";
  std::string name(header_name);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (!name.starts_with(kPrefix)) return std::optional<std::string>{};
  const std::string algorithm = name.substr(kPrefix.size());
  if (algorithm == "algorithm" || algorithm == "type" || algorithm == "mode") {
    return std::optional<std::string>{};
  }
  if (checksum_kind(algorithm) == nullptr) {
    return permanent_error("NotImplemented", "This checksum algorithm is not verified here.");
  }
  return std::optional<std::string>(algorithm);
}

Result<void> read_checksum_claims(const http::Head& head, PayloadClaims& claims) {
  for (const auto& [name, value] : head.headers.all()) {
    TRY_ASSIGN(const std::optional<std::string> algorithm, checksum_algorithm(name));
    if (!algorithm) continue;
    if (!claims.checksum.algorithm.empty()) {
      return permanent_error("InvalidRequest", "Only one x-amz-checksum- header may be sent.");
    }
    const std::optional<Bytes> raw = from_base64(value);
    if (!raw || raw->size() != checksum_kind(*algorithm)->bytes) {
      return permanent_error("InvalidRequest",
                             "Value for x-amz-checksum-" + *algorithm + " header is invalid.");
    }
    claims.checksum = {*algorithm, value};
  }
  const std::string_view trailer = head.headers.get("x-amz-trailer");
  if (trailer.empty()) return {};
  if (!claims.form.trailer || !claims.checksum.algorithm.empty()) {
    return permanent_error("InvalidRequest", "x-amz-trailer does not fit the rest of the request.");
  }
  TRY_ASSIGN(const std::optional<std::string> algorithm, checksum_algorithm(trailer));
  if (!algorithm) {
    return permanent_error("InvalidRequest", "x-amz-trailer names no checksum.");
  }
  claims.checksum.algorithm = *algorithm;
  claims.checksum_in_trailer = true;
  return {};
}

}  // namespace

Result<PayloadClaims> read_payload_claims(const http::Head& head) {
  PayloadClaims claims;
  // Without the header the body is not signed: only who needs no key gets this far.
  const std::string_view form = head.headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
  const std::optional<PayloadForm> known = payload_form(form);
  if (!known) {
    return permanent_error("InvalidRequest", "x-amz-content-sha256 is none of the known forms.");
  }
  claims.form = *known;
  if (claims.form.chunked) {
    const auto size = parse_number(head.headers.get("x-amz-decoded-content-length"));
    if (!size) {
      return permanent_error("MissingContentLength",
                             "An aws-chunked body needs x-amz-decoded-content-length.");
    }
    claims.size_bytes = *size;
  } else {
    if (!head.content_length) {
      return permanent_error("MissingContentLength", "The body needs a Content-Length.");
    }
    claims.size_bytes = *head.content_length;
  }
  if (claims.size_bytes > kLargestPut) {
    return permanent_error("EntityTooLarge", "A single upload holds at most 5 GiB.");
  }
  if (const auto text = head.headers.find("Content-MD5")) {
    const std::optional<Bytes> raw = from_base64(*text);
    if (!raw || raw->size() != 16) {
      return permanent_error("InvalidDigest", "The Content-MD5 you specified is not valid.");
    }
    claims.content_md5 = std::string(as_text(*raw));
  }
  TRY(read_checksum_claims(head, claims));
  return claims;
}

Result<void> PayloadCheck::update(ByteSpan bytes) {
  size_bytes_ += bytes.size();
  if (size_bytes_ > claims_.size_bytes) {
    return permanent_error("IncompleteBody", "The body is longer than its length says.");
  }
  md5_.update(bytes);
  sum_.update(bytes);
  return {};
}

Result<void> PayloadCheck::finish(
    const Digest& digest, const std::vector<std::pair<std::string, std::string>>& trailers) {
  md5_value_ = md5_.finish();
  if (size_bytes_ != claims_.size_bytes) {
    return permanent_error("IncompleteBody", "The body is shorter than its length says.");
  }
  if (claims_.form.sha256 && digest != *claims_.form.sha256) {
    return permanent_error(
        "XAmzContentSHA256Mismatch",
        "The provided 'x-amz-content-sha256' header does not match what was computed.");
  }
  if (claims_.content_md5 && *claims_.content_md5 != as_text(md5_value_)) {
    return permanent_error("BadDigest",
                           "The Content-MD5 you specified did not match what we received.");
  }
  return check_checksum(digest, trailers);
}

Result<void> PayloadCheck::check_checksum(
    const Digest& digest, const std::vector<std::pair<std::string, std::string>>& trailers) {
  Checksum& claim = claims_.checksum;
  if (claim.algorithm.empty()) return {};
  if (claims_.checksum_in_trailer) {
    const std::string wanted = "x-amz-checksum-" + claim.algorithm;
    for (const auto& [name, value] : trailers) {
      if (name == wanted) claim.value = value;
    }
    if (claim.value.empty()) {
      return permanent_error("InvalidRequest", "The checksum announced did not come.");
    }
  }
  if (claim.value != (is_the_digest() ? digest.base64() : sum_.finish())) {
    return permanent_error(
        "BadDigest", "The " + claim.algorithm + " you specified did not match what we received.");
  }
  return {};
}

Result<std::string> read_small_payload(const http::Head& head, std::string_view body,
                                       std::optional<ChunkSigning> signing) {
  http::Head known = head;
  known.content_length = body.size();  // it is all there, whatever framed it
  TRY_ASSIGN(PayloadClaims claims, read_payload_claims(known));
  const PayloadForm form = claims.form;
  PayloadCheck check(std::move(claims));
  std::string payload;
  std::vector<std::pair<std::string, std::string>> trailers;
  if (form.chunked) {
    AwsChunkedDecoder decoder(form, std::move(signing));
    const Result<void> fed = decoder.feed(as_bytes(body), [&](ByteSpan piece) -> Result<void> {
      payload += as_text(piece);
      return {};
    });
    TRY(fed);
    TRY(decoder.finish());
    trailers = decoder.trailers();
  } else {
    payload = body;
  }
  TRY(check.update(as_bytes(payload)));
  TRY(check.finish(sha256(payload), trailers));
  return payload;
}

PayloadReader::PayloadReader(PayloadClaims claims, std::optional<ChunkSigning> signing,
                             std::unique_ptr<BlobWriter> blob)
    : check_(std::move(claims)), blob_(std::move(blob)) {
  const PayloadForm& form = check_.claims().form;
  if (form.chunked) decoder_.emplace(form, std::move(signing));
}

Result<void> PayloadReader::feed(ByteSpan bytes) {
  if (!decoder_) return take(bytes);
  return decoder_->feed(bytes, [this](ByteSpan piece) { return take(piece); });
}

Result<void> PayloadReader::take(ByteSpan bytes) {
  TRY(check_.update(bytes));
  return blob_->append(bytes);
}

Result<ReceivedPayload> PayloadReader::finish() {
  if (decoder_) TRY(decoder_->finish());
  using Trailers = std::vector<std::pair<std::string, std::string>>;
  TRY(check_.finish(blob_->seal(), decoder_ ? decoder_->trailers() : Trailers{}));
  ReceivedPayload received;
  TRY_ASSIGN(received.blob, blob_->finish());
  received.md5 = check_.md5();
  received.checksum = check_.claims().checksum;
  return received;
}

}  // namespace isthmus::datastore
