// Takes the framing off a request body (RFC 9112 sections 6 and 7.1). Strict, because what one
// reader forgives another reads differently: only CRLF ends a line, a size is hexadecimal digits of
// at most 64 bits, and nothing but an extension may follow it. Extensions and trailers are read and
// dropped.
#pragma once

#include "http/rules/rules.h"

namespace isthmus::http::rules {

constexpr std::size_t kChunkLineBytes = 1 * KiB;  // a size with its extensions
constexpr std::size_t kTrailerBytes = 8 * KiB;    // all trailer fields of a body

class BodyDecoder {
 public:
  enum class State { more, done, broken };
  struct Step {
    std::size_t consumed = 0;  // of what came
    std::size_t produced = 0;  // into where the body goes
  };

  BodyDecoder() = default;
  explicit BodyDecoder(const Framing& framing);

  State state() const { return state_; }
  // How many of the next bytes are body and nothing else; they need not pass through decode().
  std::uint64_t plain_bytes() const { return part_ == Part::data ? left_ : 0; }
  // `count` of them went past.
  void skip(std::uint64_t count);
  // As far as input and room for output go.
  Step decode(ByteSpan in, MutableByteSpan out);

 private:
  enum class Part { size, extension, size_lf, data, data_cr, data_lf, trailer, trailer_lf };

  void take(char c);
  void take_size(char c);
  void take_trailer(char c);
  void end_line();

  bool chunked_ = false;
  State state_ = State::done;
  Part part_ = Part::data;
  std::uint64_t left_ = 0;      // of the body or the chunk
  std::size_t line_bytes_ = 0;  // of this chunk's line, or of this trailer
  std::size_t digits_ = 0;      // of this chunk's size
  std::size_t trailer_bytes_ = 0;
};

}  // namespace isthmus::http::rules
