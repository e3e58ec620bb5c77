#include "wire/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>

namespace isthmus::wire {

struct GzipReader::Stream {
  Stream() {
    constexpr int kGzip = 16;  // added to the window bits: a gzip header (zlib manual)
    ASSERT(inflateInit2(&z, 15 + kGzip) == Z_OK);
  }
  ~Stream() { inflateEnd(&z); }

  z_stream z{};
  bool ended = false;  // at the end of a member; another may follow (RFC 1952 section 2.2)
  std::array<std::byte, 64 * KiB> out{};
};

GzipReader::GzipReader() : stream_(std::make_unique<Stream>()) {}
GzipReader::~GzipReader() = default;
GzipReader::GzipReader(GzipReader&&) noexcept = default;

Result<void> GzipReader::feed(ByteSpan bytes, const Sink& sink) {
  constexpr std::size_t kMostAtOnce = std::numeric_limits<uInt>::max();
  z_stream& z = stream_->z;
  while (!bytes.empty()) {
    const ByteSpan piece = bytes.first(std::min(bytes.size(), kMostAtOnce));
    bytes = bytes.subspan(piece.size());
    z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(piece.data()));
    z.avail_in = static_cast<uInt>(piece.size());
    do {
      if (stream_->ended) {
        if (z.avail_in == 0) break;
        inflateReset(&z);
        stream_->ended = false;
      }
      z.next_out = reinterpret_cast<Bytef*>(stream_->out.data());
      z.avail_out = static_cast<uInt>(stream_->out.size());
      const int code = inflate(&z, Z_NO_FLUSH);
      stream_->ended = code == Z_STREAM_END;
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
        return permanent_error("gzip.malformed", "The body is not coded with gzip as it says.");
      }
      const std::size_t made = stream_->out.size() - z.avail_out;
      if (made > 0) TRY(sink(ByteSpan(stream_->out).first(made)));
    } while (z.avail_in > 0 || z.avail_out == 0);
  }
  return {};
}

Result<void> GzipReader::finish() const {
  if (stream_->ended) return {};
  return permanent_error("gzip.truncated", "The body ends before its gzip stream does.");
}

}  // namespace isthmus::wire
