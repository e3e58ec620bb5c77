// The body of an answer that does not end by itself, as that of server-sent events.
//
// The server sends what it begins with, then asks next() again and again, and holds no thread while
// there is nothing to send (chunked, RFC 9112 section 7.1; the connection ends with it). Where that
// cannot be, in the loopback, for HTTP/1.0, or when as many answers live as may
// (ServerOptions::live_answers), the beginning is the whole body, like any other.
#pragma once

#include "base/bytes.h"
#include "base/env.h"

namespace isthmus::http {

class LiveBody : public ByteSource {
 public:
  explicit LiveBody(std::string beginning) : beginning_(source_of(std::move(beginning))) {}

  // What is to be sent now; empty: nothing yet; nothing: this is the end. One thread at a time, not
  // always the same, and none for long.
  virtual std::optional<std::string> next() = 0;
  // How long to wait until next() is asked again, when it had nothing.
  virtual Milliseconds pause() const = 0;

  std::uint64_t size() const override { return beginning_->size(); }
  Result<std::size_t> read(MutableByteSpan into) override { return beginning_->read(into); }
  Result<void> rewind() override { return beginning_->rewind(); }

 private:
  const std::unique_ptr<ByteSource> beginning_;
};

}  // namespace isthmus::http
