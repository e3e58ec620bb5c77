// A frame as plain pixels: what every decoder gives and every encoder takes. Only the import worker
// decodes.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "datastore/engine/pixel_layout.h"

namespace isthmus::datastore {

// Little endian, colour by pixel.
struct DecodedFrame {
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;
  std::uint32_t samples = 1;
  std::uint32_t bytes_per_sample = 1;  // 1, 2 or 4
  std::uint32_t bits_stored = 8;
  bool is_signed = false;
  // Three samples: coded with the reversible transform, which keeps whatever they mean exactly.
  // Without it the decoder of the stock web viewers mixes up their lines.
  bool is_colour = false;
  Bytes pixels;

  // The sample at `index`, counted over pixels and their samples.
  std::int64_t sample(std::size_t index) const {
    std::uint64_t value = 0;
    for (std::uint32_t i = 0; i < bytes_per_sample; ++i) {
      value |= std::to_integer<std::uint64_t>(pixels[index * bytes_per_sample + i]) << (8 * i);
    }
    const std::uint32_t spare = 64 - 8 * bytes_per_sample;
    if (!is_signed) return static_cast<std::int64_t>(value);
    return static_cast<std::int64_t>(value << spare) >> spare;
  }
  void set_sample(std::size_t index, std::int64_t value) {
    for (std::uint32_t i = 0; i < bytes_per_sample; ++i) {
      pixels[index * bytes_per_sample + i] = static_cast<std::byte>(value >> (8 * i) & 0xFF);
    }
  }
  // The same of what a code stream holds: as negative where the image is signed, and the code
  // stream does not say so (senders leave the sign to PixelRepresentation).
  void set_coded_sample(std::size_t index, std::int64_t value, bool coded_signed) {
    const std::uint32_t spare = 64 - bits_stored;
    if (is_signed && !coded_signed) {
      value = static_cast<std::int64_t>(static_cast<std::uint64_t>(value) << spare) >> spare;
    }
    set_sample(index, value);
  }
  std::size_t sample_count() const { return pixels.size() / bytes_per_sample; }
};

struct SampleRange {
  std::int64_t smallest = 0;
  std::int64_t largest = 0;
};
SampleRange range_of(const DecodedFrame& frame);

// How many bits a code stream needs for each sample, so that nothing of a cell is lost: the bits
// stored, or all of the cell where something stands beside them (overlays of old files).
std::uint32_t depth_for(const DecodedFrame& frame, const SampleRange& range);

// An empty frame of the description's shape; three bytes a pixel for colour that was subsampled.
// "pixels.too_large" (permanent) beyond kMostFrameBytes, "pixels.unsupported" for a shape that is
// none.
constexpr std::uint64_t kMostFrameBytes = 512 * MiB;
Result<DecodedFrame> blank_frame(const PixelDescription& description);

}  // namespace isthmus::datastore
