#include "datastore/engine/pixels/openjpeg.h"

#include <openjpeg.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace isthmus::datastore {
namespace {

Error broken(const char* what) {
  return permanent_error("pixels.broken", std::string("JPEG 2000: ") + what + ".");
}

struct Closer {
  void operator()(opj_image_t* image) const { opj_image_destroy(image); }
  void operator()(opj_codec_t* codec) const { opj_destroy_codec(codec); }
};
struct StreamCloser {
  void operator()(opj_stream_t* stream) const { opj_stream_destroy(stream); }
};
using Image = std::unique_ptr<opj_image_t, Closer>;
using Codec = std::unique_ptr<opj_codec_t, Closer>;
using Stream = std::unique_ptr<opj_stream_t, StreamCloser>;

// Bytes in memory, as the library's streams want them: read from, or grown by writing.
struct Memory {
  ByteSpan input;
  Bytes output;
  std::size_t at = 0;
};

OPJ_SIZE_T read_memory(void* into, OPJ_SIZE_T count, void* user) {
  auto& memory = *static_cast<Memory*>(user);
  if (memory.at >= memory.input.size()) return static_cast<OPJ_SIZE_T>(-1);
  count = std::min<OPJ_SIZE_T>(count, memory.input.size() - memory.at);
  std::memcpy(into, memory.input.data() + memory.at, count);
  memory.at += count;
  return count;
}

OPJ_SIZE_T write_memory(void* from, OPJ_SIZE_T count, void* user) {
  auto& memory = *static_cast<Memory*>(user);
  if (memory.output.size() < memory.at + count) memory.output.resize(memory.at + count);
  std::memcpy(memory.output.data() + memory.at, from, count);
  memory.at += count;
  return count;
}

OPJ_BOOL seek_memory(OPJ_OFF_T to, void* user) {
  if (to < 0) return OPJ_FALSE;
  static_cast<Memory*>(user)->at = static_cast<std::size_t>(to);
  return OPJ_TRUE;
}

OPJ_OFF_T skip_memory(OPJ_OFF_T count, void* user) {
  auto& memory = *static_cast<Memory*>(user);
  if (count < 0 && static_cast<std::size_t>(-count) > memory.at) return -1;
  memory.at = static_cast<std::size_t>(static_cast<OPJ_OFF_T>(memory.at) + count);
  return count;
}

Stream stream_over(Memory& memory, bool reading) {
  Stream stream(opj_stream_create(64 * 1024, reading ? OPJ_TRUE : OPJ_FALSE));
  opj_stream_set_user_data(stream.get(), &memory, nullptr);
  opj_stream_set_user_data_length(stream.get(), memory.input.size());
  opj_stream_set_read_function(stream.get(), read_memory);
  opj_stream_set_write_function(stream.get(), write_memory);
  opj_stream_set_seek_function(stream.get(), seek_memory);
  opj_stream_set_skip_function(stream.get(), skip_memory);
  return stream;
}

bool has_shape(const opj_image_t& image, const DecodedFrame& frame) {
  if (image.numcomps != frame.samples) return false;
  for (std::uint32_t c = 0; c < frame.samples; ++c) {
    const opj_image_comp_t& component = image.comps[c];
    if (component.w != frame.columns || component.h != frame.rows || component.dx != 1 ||
        component.dy != 1 || component.prec > 8 * frame.bytes_per_sample) {
      return false;
    }
  }
  return true;
}

Image image_of(const DecodedFrame& frame, std::uint32_t depth) {
  std::vector<opj_image_cmptparm_t> components(frame.samples);
  for (opj_image_cmptparm_t& component : components) {
    component.dx = component.dy = 1;
    component.w = frame.columns;
    component.h = frame.rows;
    component.prec = depth;
    component.sgnd = frame.is_signed ? 1 : 0;
  }
  Image image(opj_image_create(frame.samples, components.data(),
                               frame.samples == 3 ? OPJ_CLRSPC_SRGB : OPJ_CLRSPC_GRAY));
  if (image == nullptr) return image;
  image->x1 = frame.columns;
  image->y1 = frame.rows;
  for (std::uint32_t c = 0; c < frame.samples; ++c) {
    for (std::size_t i = 0; i < std::size_t{frame.rows} * frame.columns; ++i) {
      image->comps[c].data[i] = static_cast<OPJ_INT32>(frame.sample(i * frame.samples + c));
    }
  }
  return image;
}

}  // namespace

Result<Bytes> encode_jpeg2000(const DecodedFrame& frame) {
  const Image image = image_of(frame, depth_for(frame, range_of(frame)));
  if (image == nullptr) return broken("the frame cannot be encoded");
  opj_cparameters_t parameters;
  opj_set_default_encoder_parameters(&parameters);
  parameters.tcp_numlayers = 1;
  parameters.tcp_rates[0] = 0;  // lossless
  parameters.cp_disto_alloc = 1;
  parameters.irreversible = 0;
  parameters.tcp_mct = frame.is_colour ? 1 : 0;
  parameters.numresolution = 1;
  while (parameters.numresolution < 6 &&
         (std::min(frame.columns, frame.rows) >> parameters.numresolution) >= 1) {
    ++parameters.numresolution;
  }
  const Codec codec(opj_create_compress(OPJ_CODEC_J2K));
  Memory memory;
  const Stream stream = stream_over(memory, false);
  const bool done = opj_setup_encoder(codec.get(), &parameters, image.get()) &&
                    opj_start_compress(codec.get(), image.get(), stream.get()) &&
                    opj_encode(codec.get(), stream.get()) &&
                    opj_end_compress(codec.get(), stream.get());
  if (!done) return broken("the frame cannot be encoded");
  return std::move(memory.output);
}

Result<DecodedFrame> decode_jpeg2000(const PixelDescription& description, ByteSpan code_stream) {
  TRY_ASSIGN(DecodedFrame frame, blank_frame(description));
  const bool boxed =
      code_stream.size() > 12 && as_text(code_stream.subspan(4, 4)) == std::string_view("jP  ");
  const Codec codec(opj_create_decompress(boxed ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K));
  opj_dparameters_t parameters;
  opj_set_default_decoder_parameters(&parameters);
  Memory memory{.input = code_stream, .output = {}};
  const Stream stream = stream_over(memory, true);
  opj_image_t* read = nullptr;
  const bool begun = opj_setup_decoder(codec.get(), &parameters) &&
                     opj_decoder_set_strict_mode(codec.get(), OPJ_TRUE) &&
                     opj_read_header(stream.get(), codec.get(), &read);
  const Image image(read);
  if (!begun || image == nullptr) return broken("the header cannot be read");
  // Before anything of the size that it claims is allocated.
  const bool sized = image->x1 - image->x0 == frame.columns &&
                     image->y1 - image->y0 == frame.rows && image->numcomps == frame.samples;
  if (!sized) return broken("the code stream is not of the image's shape");
  const bool done = opj_decode(codec.get(), stream.get(), image.get()) &&
                    opj_end_decompress(codec.get(), stream.get());
  if (!done) return broken("the code stream cannot be decoded");
  if (!has_shape(*image, frame)) return broken("the code stream is not of the image's shape");
  for (std::uint32_t c = 0; c < frame.samples; ++c) {
    if (image->comps[c].data == nullptr) return broken("a component is missing");
    for (std::size_t i = 0; i < std::size_t{frame.rows} * frame.columns; ++i) {
      frame.set_coded_sample(i * frame.samples + c, image->comps[c].data[i],
                             image->comps[c].sgnd != 0);
    }
  }
  return frame;
}

}  // namespace isthmus::datastore
