// multipart/related, both directions, no I/O: bodies of DICOMweb (PS3.18 section 8.6.1.2, RFC 2387,
// RFC 2046 section 5.1). The reader takes pieces of any size and never holds a part; the writer
// opens one part after the other.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/http.h"

namespace isthmus::wire {

// "multipart/related; type=\"application/dicom\"; boundary=x". Type and parameter names are lower
// case, values are as they were, quotes gone.
struct MediaType {
  std::string type;
  std::vector<std::pair<std::string, std::string>> parameters;

  std::string_view parameter(std::string_view name, std::string_view otherwise = "") const;
};
// Nothing for a text that is none (RFC 9110 section 8.3.1).
std::optional<MediaType> parse_media_type(std::string_view text);

// One entry of an Accept header; quality 0 to 1.
struct AcceptedType {
  MediaType media;
  double quality = 1;
};
// In the order of quality, then as they were. Entries that cannot be read are left out.
std::vector<AcceptedType> parse_accept(std::string_view text);

// The boundary of a multipart type: 1 to 200 characters (more than the 70 of RFC 2046: Orthanc
// sends 73) of RFC 2046's alphabet, no blank at the end.
std::optional<std::string> boundary_of(const MediaType& media);

struct MultipartLimits {
  std::size_t head_bytes = 16 * KiB;  // of one part's header fields
  std::size_t head_fields = 32;
  std::size_t preamble_bytes = 64 * KiB;  // before the first part, and after the last
  std::size_t parts = 100'000;
  // Lines of a part's head, and that of its delimiter, may end in LF alone, as some senders write.
  // In front of a delimiter only CRLF counts all the same.
  bool lf_in_heads = false;
};

// Gets what a reader finds. An error ends the reading and is what feed() gives.
class PartSink {
 public:
  virtual ~PartSink() = default;
  virtual Result<void> begin_part(const http::Headers& headers) = 0;
  virtual Result<void> part_bytes(ByteSpan bytes) = 0;
  virtual Result<void> end_part() = 0;
};

// Errors, all permanent: "multipart.malformed" (what stands where a delimiter, a header field or a
// CRLF should; lines that end in LF alone where they may not), "multipart.truncated" (no closing
// delimiter), "multipart.too_large" (a limit). After an error nothing may be fed. One thread.
class MultipartReader {
 public:
  // Only CRLF, "--" and the boundary, followed by "--" or the end of the line, is a delimiter:
  // the boundary anywhere else is data.
  MultipartReader(std::string_view boundary, PartSink& sink, MultipartLimits limits = {});
  Result<void> feed(ByteSpan bytes);
  Result<void> finish();
  std::size_t parts() const { return parts_; }

 private:
  enum class State { preamble, delimiter, head, body, epilogue };

  Result<void> feed_buffered(ByteSpan piece);
  Result<std::size_t> pass_body(std::string_view bytes);
  std::size_t clear_of_delimiter(std::string_view bytes, bool& found) const;
  Result<bool> step();
  Result<bool> skip_preamble();
  Result<bool> after_delimiter();
  Result<bool> take_head();
  std::size_t end_of_head() const;
  Result<bool> take_body();
  Result<void> begin_part(std::string_view head);
  Result<void> emit(std::size_t count);

  const std::string delimiter_;  // CRLF, "--", boundary
  PartSink& sink_;
  const MultipartLimits limits_;
  State state_ = State::preamble;
  bool in_part_ = false;
  bool borrowed_ = false;  // the CRLF in front of the buffer is the one that ended the head
  std::string buffer_;
  std::size_t skipped_ = 0;
  std::size_t parts_ = 0;
};

// A part to be written; `size_bytes` of what open() gives, which is called when its turn comes.
struct OutgoingPart {
  http::Headers headers;
  std::uint64_t size_bytes = 0;
  std::function<Result<std::unique_ptr<ByteSource>>()> open;
};
// The body, of known size. An error of open() is one of read(). The boundary must not be in any
// part: make it long and random.
std::unique_ptr<ByteSource> multipart_body(std::string boundary, std::vector<OutgoingPart> parts);

}  // namespace isthmus::wire
