#include "dicom/walk/inflater.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <limits>

namespace isthmus::dicom {
namespace {

constexpr std::uint64_t kMaxTrailerBytes = 16;

bool is_zero(ByteSpan bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{}; });
}

}  // namespace

struct Inflater::Stream {
  z_stream z{};
  bool ready = false;
};

Inflater::Inflater(const InflateLimits& limits)
    : limits_(limits), stream_(std::make_unique<Stream>()) {
  // Negative window bits: no zlib header and no checksum around the stream.
  stream_->ready = inflateInit2(&stream_->z, -MAX_WBITS) == Z_OK;
}

Inflater::~Inflater() {
  if (stream_->ready) inflateEnd(&stream_->z);
}

Result<void> Inflater::feed(ByteSpan bytes, const std::function<bool(ByteSpan)>& sink) {
  if (!stream_->ready)
    return transient_error("dicom.out_of_memory", "There is no memory to inflate.");
  z_stream& z = stream_->z;
  bool more_inside = true;  // what was taken may give more than one piece
  while (!ended_ && (!bytes.empty() || more_inside)) {
    const std::size_t piece =
        std::min<std::size_t>(bytes.size(), std::numeric_limits<unsigned>::max());
    z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
    z.avail_in = static_cast<uInt>(piece);
    z.next_out = reinterpret_cast<Bytef*>(out_.data());
    z.avail_out = static_cast<uInt>(out_.size());
    const int rc = inflate(&z, Z_NO_FLUSH);
    const std::size_t taken = piece - z.avail_in;
    const std::size_t made = out_.size() - z.avail_out;
    more_inside = z.avail_out == 0;
    in_bytes_ += taken;
    bytes = bytes.subspan(taken);
    // Up to the limit exactly: where it is reached does not depend on how the input is split.
    const auto allowed =
        static_cast<std::size_t>(std::min<std::uint64_t>(made, limits_.out_bytes - out_bytes_));
    if (allowed > 0 && !sink(ByteSpan(out_).first(allowed))) return {};
    out_bytes_ += allowed;
    TRY(check_limits(allowed < made));
    if (rc == Z_STREAM_END) ended_ = true;
    if (rc != Z_OK && rc != Z_BUF_ERROR && rc != Z_STREAM_END) {
      return permanent_error(
          "dicom.unreadable",
          fmt::format("The deflated data set is broken, at byte {}.", in_bytes_));
    }
  }
  // Some writers leave the trailer of another container (CRC and length) or an odd byte there.
  if (ended_) behind_bytes_ += bytes.size();
  if (behind_bytes_ > kMaxTrailerBytes && !is_zero(bytes)) {
    return permanent_error(
        "dicom.unreadable",
        fmt::format("Bytes follow the end of the deflated data set, at byte {}.", in_bytes_));
  }
  return {};
}

Result<void> Inflater::check_limits(bool too_much) const {
  const bool too_dense =
      out_bytes_ > limits_.any_ratio_bytes && out_bytes_ / in_bytes_ > limits_.ratio;
  if (!too_much && !too_dense) return {};
  return permanent_error(
      "dicom.inflate_bomb",
      fmt::format("The deflated data set grows beyond the limits, at byte {}.", in_bytes_));
}

Result<void> Inflater::finish() const {
  if (ended_) return {};
  return permanent_error(
      "dicom.truncated",
      fmt::format("The deflated data set ends before its end mark, at byte {}.", in_bytes_));
}

}  // namespace isthmus::dicom
