// zlib behind our types: documents kept small in rows, and gzip bodies made piece by piece.
#pragma once

#include <memory>
#include <string>

#include "base/bytes.h"

namespace isthmus::datastore {

// In zlib's format (RFC 1950).
Bytes deflate_text(std::string_view text);
// Only ever given what deflate_text() made: anything else is "datastore.io" (fatal).
Result<std::string> inflate_text(ByteSpan compressed);

// Makes one gzip member (RFC 1952) of what is written. One thread.
class GzipWriter {
 public:
  GzipWriter();
  ~GzipWriter();
  GzipWriter(const GzipWriter&) = delete;
  GzipWriter& operator=(const GzipWriter&) = delete;
  // What has come out so far goes to `sink`, in pieces of at most 64 KiB.
  template <typename Sink>
  Result<void> write(std::string_view text, Sink&& sink) {
    return pump(text, false, std::forward<Sink>(sink));
  }
  template <typename Sink>
  Result<void> finish(Sink&& sink) {
    return pump({}, true, std::forward<Sink>(sink));
  }

 private:
  struct State;
  template <typename Sink>
  Result<void> pump(std::string_view text, bool last, Sink&& sink) {
    begin(text);
    while (true) {
      const ByteSpan piece = step(last);
      if (piece.empty()) return {};
      TRY(sink(piece));
    }
  }
  void begin(std::string_view text);
  // The next piece of output; empty when all input so far is used up.
  ByteSpan step(bool last);

  std::unique_ptr<State> state_;
};

}  // namespace isthmus::datastore
