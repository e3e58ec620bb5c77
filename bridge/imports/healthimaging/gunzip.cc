#include "imports/healthimaging/gunzip.h"

#include <zlib.h>

#include <array>
#include <memory>

#include "base/bytes.h"

namespace isthmus::healthimaging {
namespace {

constexpr int kGzipOnly = 16 + MAX_WBITS;  // zlib.h, inflateInit2
constexpr std::size_t kPiece = 64 * KiB;

}  // namespace

Result<std::string> gunzip(std::string_view packed, std::uint64_t limit) {
  z_stream stream{};
  if (inflateInit2(&stream, kGzipOnly) != Z_OK) {
    return transient_error("metadata.unavailable", "There is no memory to unpack an answer.");
  }
  const auto end = [](z_stream* open) { inflateEnd(open); };
  const std::unique_ptr<z_stream, decltype(end)> closer(&stream, end);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string text;
  std::array<char, kPiece> piece{};
  for (;;) {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    const int status = inflate(&stream, Z_NO_FLUSH);
    const std::size_t made = piece.size() - stream.avail_out;
    if (text.size() + made > limit) {
      return permanent_error("metadata.too_large",
                             "The metadata document of an image set is above the limit.");
    }
    text.append(piece.data(), made);
    if (status == Z_STREAM_END) return text;
    if (status != Z_OK || (made == 0 && stream.avail_in == 0)) {
      return transient_error("metadata.unavailable",
                             "The metadata document came incomplete or is no gzip.");
    }
  }
}

}  // namespace isthmus::healthimaging
