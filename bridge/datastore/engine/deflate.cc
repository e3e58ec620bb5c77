#include "datastore/engine/deflate.h"

#include <libdeflate.h>
#include <zlib.h>

#include <array>
#include <memory>

namespace isthmus::datastore {
namespace {

constexpr int kLevel = 6;

struct FreeCompressor {
  void operator()(libdeflate_compressor* compressor) const {
    libdeflate_free_compressor(compressor);
  }
};

}  // namespace

Bytes deflate_text(std::string_view text) {
  // Its tables are some hundred KiB: a thread makes them once.
  thread_local const std::unique_ptr<libdeflate_compressor, FreeCompressor> compressor(
      libdeflate_alloc_compressor(kLevel));
  ASSERT(compressor != nullptr);
  Bytes compressed(libdeflate_zlib_compress_bound(compressor.get(), text.size()));
  const std::size_t size = libdeflate_zlib_compress(compressor.get(), text.data(), text.size(),
                                                    compressed.data(), compressed.size());
  ASSERT(size > 0);
  compressed.resize(size);
  return compressed;
}

Result<std::string> inflate_text(ByteSpan compressed) {
  z_stream stream{};
  ASSERT(inflateInit(&stream) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(compressed.data()));
  stream.avail_in = static_cast<uInt>(compressed.size());
  std::string text;
  std::array<char, 64 * KiB> buffer{};
  int code = Z_OK;
  while (code == Z_OK) {
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    code = inflate(&stream, Z_NO_FLUSH);
    text.append(buffer.data(), buffer.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  if (code != Z_STREAM_END) {
    return fatal_error("datastore.io", "A document in the catalogue is damaged.");
  }
  return text;
}

struct GzipWriter::State {
  z_stream stream{};
  bool ended = false;
  std::array<std::byte, 64 * KiB> output{};
};

GzipWriter::GzipWriter() : state_(std::make_unique<State>()) {
  constexpr int kGzip = 16;  // added to the window bits: a gzip header (zlib manual)
  ASSERT(deflateInit2(&state_->stream, 6, Z_DEFLATED, 15 + kGzip, 8, Z_DEFAULT_STRATEGY) == Z_OK);
}

GzipWriter::~GzipWriter() {
  deflateEnd(&state_->stream);
}

void GzipWriter::begin(std::string_view text) {
  state_->stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  state_->stream.avail_in = static_cast<uInt>(text.size());
}

ByteSpan GzipWriter::step(bool last) {
  if (state_->ended || (!last && state_->stream.avail_in == 0)) return {};
  state_->stream.next_out = reinterpret_cast<Bytef*>(state_->output.data());
  state_->stream.avail_out = static_cast<uInt>(state_->output.size());
  const int code = deflate(&state_->stream, last ? Z_FINISH : Z_NO_FLUSH);
  ASSERT(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR);
  state_->ended = code == Z_STREAM_END;
  return ByteSpan(state_->output).first(state_->output.size() - state_->stream.avail_out);
}

}  // namespace isthmus::datastore
