#include "datastore/api/aws_chunked.h"

#include <algorithm>
#include <charconv>

namespace isthmus::datastore {
namespace {

constexpr std::size_t kLongestLine = 4 * KiB;
constexpr std::size_t kMostTrailerBytes = 8 * KiB;

Error broken(std::string code, std::string message) {
  return permanent_error(std::move(code), std::move(message));
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return result;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::optional<PayloadForm> payload_form(std::string_view content_sha256) {
  PayloadForm form;
  if (content_sha256 == wire::sigv4::kUnsignedPayload) return form;
  if (content_sha256 == "STREAMING-UNSIGNED-PAYLOAD-TRAILER") {
    form.chunked = form.trailer = true;
    return form;
  }
  if (content_sha256 == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD") {
    form.chunked = form.chunks_signed = true;
    return form;
  }
  if (content_sha256 == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER") {
    form.chunked = form.chunks_signed = form.trailer = true;
    return form;
  }
  form.sha256 = Digest::from_hex(content_sha256);
  if (!form.sha256) return std::nullopt;
  return form;
}

AwsChunkedDecoder::AwsChunkedDecoder(const PayloadForm& form, std::optional<ChunkSigning> signing)
    : form_(form), signing_(std::move(signing)) {}

Result<void> AwsChunkedDecoder::feed(ByteSpan bytes, const Sink& sink) {
  while (!bytes.empty()) {
    if (state_ == State::done) {
      return broken("InvalidRequest", "There are bytes after the end of the aws-chunked body.");
    }
    if (state_ == State::data) {
      const ByteSpan piece = bytes.first(std::min<std::uint64_t>(left_, bytes.size()));
      if (form_.chunks_signed) chunk_hash_.update(piece);
      TRY(sink(piece));
      left_ -= piece.size();
      bytes = bytes.subspan(piece.size());
      if (left_ == 0) state_ = State::data_end;
      continue;
    }
    const char c = static_cast<char>(bytes.front());
    bytes = bytes.subspan(1);
    line_.push_back(c);
    if (line_.size() > kLongestLine) {
      return broken("InvalidRequest", "A line of the aws-chunked body is too long.");
    }
    if (c == '\n') {
      if (line_.size() < 2 || line_[line_.size() - 2] != '\r') {
        return broken("InvalidRequest", "A line of the aws-chunked body does not end in CR LF.");
      }
      line_.resize(line_.size() - 2);
      TRY(take_line(std::exchange(line_, {})));
    }
  }
  return {};
}

Result<void> AwsChunkedDecoder::take_line(std::string line) {
  switch (state_) {
    case State::size_line:
      return begin_chunk(line);
    case State::data_end:
      if (!line.empty()) {
        return broken("InvalidRequest", "A chunk is longer than its size says.");
      }
      return end_chunk();
    case State::trailer_line:
      return line.empty() ? end_trailers() : take_trailer(line);
    case State::data:
    case State::done:
      break;
  }
  ASSERT(false);
  return {};
}

Result<void> AwsChunkedDecoder::begin_chunk(std::string_view line) {
  const std::size_t semicolon = line.find(';');
  const std::string_view size = line.substr(0, semicolon);
  const auto [end, failure] = std::from_chars(size.data(), size.data() + size.size(), left_, 16);
  if (size.empty() || failure != std::errc{} || end != size.data() + size.size()) {
    return broken("InvalidRequest", "The size of a chunk is not a hexadecimal number.");
  }
  chunk_signature_.clear();
  if (semicolon != std::string_view::npos) {
    constexpr std::string_view kName = "chunk-signature=";
    const std::string_view extension = trimmed(line.substr(semicolon + 1));
    if (extension.starts_with(kName)) chunk_signature_ = extension.substr(kName.size());
  }
  if (form_.chunks_signed && chunk_signature_.empty()) {
    return broken("InvalidRequest", "A chunk has no chunk-signature.");
  }
  last_chunk_ = left_ == 0;
  if (!last_chunk_) {
    state_ = State::data;
    return {};
  }
  return end_chunk();
}

// Of the last chunk only its header line was there: trailer lines or the empty line follow.
Result<void> AwsChunkedDecoder::end_chunk() {
  if (form_.chunks_signed) {
    TRY(check_signature(
        "AWS4-HMAC-SHA256-PAYLOAD",
        std::string(wire::sigv4::kEmptyPayloadHash) + "\n" + chunk_hash_.finish().hex(),
        chunk_signature_));
  }
  state_ = last_chunk_ ? State::trailer_line : State::size_line;
  return {};
}

Result<void> AwsChunkedDecoder::take_trailer(std::string_view line) {
  trailer_bytes_ += line.size();
  const std::size_t colon = line.find(':');
  if (!form_.trailer || colon == std::string_view::npos || colon == 0 ||
      trailer_bytes_ > kMostTrailerBytes) {
    return broken("InvalidRequest", "The trailer of the body is malformed.");
  }
  std::string name = lower(trimmed(line.substr(0, colon)));
  std::string value(trimmed(line.substr(colon + 1)));
  if (name == "x-amz-trailer-signature") {
    trailer_signature_ = std::move(value);
    return {};
  }
  trailer_text_ += name + ":" + value + "\n";
  trailers_.emplace_back(std::move(name), std::move(value));
  return {};
}

Result<void> AwsChunkedDecoder::end_trailers() {
  if (form_.chunks_signed && form_.trailer) {
    TRY(check_signature("AWS4-HMAC-SHA256-TRAILER", sha256(trailer_text_).hex(),
                        trailer_signature_));
  }
  state_ = State::done;
  return {};
}

Result<void> AwsChunkedDecoder::check_signature(std::string_view algorithm,
                                                const std::string& hashes,
                                                std::string_view claimed) {
  if (!signing_) return {};  // nobody's signature is looked at
  const std::string text = std::string(algorithm) + "\n" + signing_->amz_date + "\n" +
                           signing_->scope.text() + "\n" + signing_->seed_signature + "\n" + hashes;
  std::string expected = wire::sigv4::signature(signing_->secret_access_key, signing_->scope, text);
  if (!equal_secrets(expected, claimed)) {
    return broken("SignatureDoesNotMatch", "The signature of a chunk is not the one calculated.");
  }
  signing_->seed_signature = std::move(expected);
  return {};
}

Result<void> AwsChunkedDecoder::finish() {
  if (state_ == State::done) return {};
  return broken("IncompleteBody", "The aws-chunked body ends in the middle.");
}

}  // namespace isthmus::datastore
