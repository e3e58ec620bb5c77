#include "datastore/engine/pixels/openjph.h"

#include <openjph/ojph_arch.h>
#include <openjph/ojph_base.h>
#include <openjph/ojph_codestream.h>
#include <openjph/ojph_file.h>
#include <openjph/ojph_mem.h>
#include <openjph/ojph_params.h>

#include <algorithm>

namespace isthmus::datastore {
namespace {

// Resolutions down to about a thumbnail: what RPCL is for.
std::uint32_t decompositions_for(const DecodedFrame& frame) {
  std::uint32_t count = 0;
  while (count < 8 && (std::min(frame.columns, frame.rows) >> (count + 1)) >= 32) ++count;
  return count;
}

Error broken(const char* what) {
  return permanent_error("pixels.broken", std::string("HTJ2K: ") + what + ".");
}

// The library throws in its own ways: runtime_error, and bare strings for memory.
template <typename Body>
auto guarded(const char* what, Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    throw;
  } catch (...) {
    return broken(what);
  }
}

Bytes encode(const DecodedFrame& frame) {
  const std::uint32_t depth = depth_for(frame, range_of(frame));
  ojph::codestream stream;
  ojph::param_siz size = stream.access_siz();
  size.set_image_extent(ojph::point(frame.columns, frame.rows));
  size.set_image_offset(ojph::point(0, 0));
  size.set_tile_offset(ojph::point(0, 0));
  size.set_num_components(frame.samples);
  for (std::uint32_t c = 0; c < frame.samples; ++c) {
    size.set_component(c, ojph::point(1, 1), depth, frame.is_signed);
  }
  ojph::param_cod style = stream.access_cod();
  style.set_num_decomposition(decompositions_for(frame));
  style.set_block_dims(64, 64);
  style.set_progression_order("RPCL");
  style.set_color_transform(frame.is_colour);
  style.set_reversible(true);
  stream.set_planar(false);
  ojph::mem_outfile out;
  out.open(std::max<std::size_t>(frame.pixels.size(), 4096));
  stream.write_headers(&out);
  ojph::ui32 component = 0;
  ojph::line_buf* line = stream.exchange(nullptr, component);
  for (std::uint32_t y = 0; y < frame.rows; ++y) {
    for (std::uint32_t c = 0; c < frame.samples; ++c) {
      for (std::uint32_t x = 0; x < frame.columns; ++x) {
        const std::size_t pixel = std::size_t{y} * frame.columns + x;
        line->i32[x] = static_cast<ojph::si32>(frame.sample(pixel * frame.samples + component));
      }
      line = stream.exchange(line, component);
    }
  }
  stream.flush();
  const auto* data = reinterpret_cast<const std::byte*>(out.get_data());
  Bytes encoded(data, data + out.tell());
  stream.close();
  return encoded;
}

Result<DecodedFrame> decode(const PixelDescription& description, ByteSpan code_stream) {
  TRY_ASSIGN(DecodedFrame frame, blank_frame(description));
  ojph::mem_infile in;
  in.open(reinterpret_cast<const ojph::ui8*>(code_stream.data()), code_stream.size());
  ojph::codestream stream;
  stream.read_headers(&in);
  ojph::param_siz size = stream.access_siz();
  const ojph::point extent = size.get_image_extent();
  const ojph::point offset = size.get_image_offset();
  bool fits = size.get_num_components() == frame.samples && extent.x - offset.x == frame.columns &&
              extent.y - offset.y == frame.rows;
  for (std::uint32_t c = 0; fits && c < frame.samples; ++c) {
    const ojph::point step = size.get_downsampling(c);
    fits = step.x == 1 && step.y == 1 && size.get_bit_depth(c) <= 8 * frame.bytes_per_sample;
  }
  if (!fits) return broken("the code stream is not of the image's shape");
  stream.set_planar(false);
  stream.create();
  for (std::uint32_t y = 0; y < frame.rows; ++y) {
    for (std::uint32_t c = 0; c < frame.samples; ++c) {
      ojph::ui32 component = 0;
      const ojph::line_buf* line = stream.pull(component);
      if (line == nullptr || component >= frame.samples) return broken("a line is missing");
      for (std::uint32_t x = 0; x < frame.columns; ++x) {
        const std::size_t pixel = std::size_t{y} * frame.columns + x;
        frame.set_coded_sample(pixel * frame.samples + component, line->i32[x],
                               size.is_signed(component));
      }
    }
  }
  stream.close();
  return frame;
}

}  // namespace

Result<Bytes> encode_htj2k(const DecodedFrame& frame) {
  return guarded("the frame cannot be encoded", [&]() -> Result<Bytes> { return encode(frame); });
}

Result<DecodedFrame> decode_htj2k(const PixelDescription& description, ByteSpan code_stream) {
  return guarded("the code stream cannot be decoded",
                 [&] { return decode(description, code_stream); });
}

}  // namespace isthmus::datastore
