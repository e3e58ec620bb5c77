// Takes the content coding "gzip" (RFC 9110 section 8.4.1.3, RFC 1952) off a body, piece by piece
// and in bounded memory. Who reads bounds what comes out.
#pragma once

#include <functional>
#include <memory>

#include "base/bytes.h"

namespace isthmus::wire {

// One thread. After an error nothing may be fed.
class GzipReader {
 public:
  using Sink = std::function<Result<void>(ByteSpan)>;

  GzipReader();
  ~GzipReader();
  GzipReader(GzipReader&&) noexcept;

  // Gives `sink` what comes out, in pieces of at most 64 KiB; its error is that of feed().
  // "gzip.malformed" (permanent).
  Result<void> feed(ByteSpan bytes, const Sink& sink);
  // "gzip.truncated" (permanent) when the stream has not come to its end.
  Result<void> finish() const;

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
};

}  // namespace isthmus::wire
