#include "datastore/engine/pixels/codecs.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "datastore/engine/pixels/dcmtk_codecs.h"
#include "datastore/engine/pixels/openjpeg.h"
#include "datastore/engine/pixels/openjph.h"
#include "dicom/transfer_syntax.h"

namespace isthmus::datastore {
namespace {

Error broken(const char* what) {
  return permanent_error("pixels.broken", std::string(what) + ".");
}
Error unsupported(const char* what) {
  return permanent_error("pixels.unsupported", std::string(what) + ".");
}

bool is_subsampled(const PixelDescription& d) {
  return d.photometric == "YBR_FULL_422" || d.photometric == "YBR_PARTIAL_422";
}

bool is_encapsulated(const PixelDescription& d) {
  const dicom::TransferSyntax* syntax = dicom::find_transfer_syntax(d.transfer_syntax_uid);
  return syntax != nullptr && syntax->encapsulated;
}

std::uint32_t u32_at(ByteSpan bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) {
    value = value << 8 | std::to_integer<std::uint32_t>(bytes[at + i]);
  }
  return value;
}

// Items: tag (FFFE,E000), length, value; little endian (PS3.5 section A.4).
Result<Bytes> without_items(const FrameRecord& record, ByteSpan covered) {
  constexpr std::uint32_t kItem = 0xE000FFFE;
  Bytes bytes;
  std::size_t at = 0;
  for (std::uint32_t i = 0; i < record.fragments; ++i) {
    if (covered.size() - at < 8 || u32_at(covered, at) != kItem) {
      return broken("A fragment is not where it was");
    }
    const std::size_t length = u32_at(covered, at + 4);
    at += 8;
    if (length > covered.size() - at) return broken("A fragment ends too early");
    const ByteSpan value = covered.subspan(at, length);
    bytes.insert(bytes.end(), value.begin(), value.end());
    at += length;
  }
  return bytes;
}

// One-bit pixels, the first in the lowest bit (PS3.5 section 8.2), from a place within a byte on;
// what is behind the last pixel is zero.
Bytes packed_bits(ByteSpan covered, unsigned bits, std::uint64_t pixel_bits) {
  const auto size = static_cast<std::size_t>((pixel_bits + 7) / 8);
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    const unsigned low = std::to_integer<unsigned>(covered[i]) >> bits;
    const unsigned high =
        i + 1 < covered.size() ? std::to_integer<unsigned>(covered[i + 1]) << (8 - bits) : 0;
    bytes[i] = static_cast<std::byte>((low | high) & 0xFF);
  }
  if (pixel_bits % 8 != 0) bytes.back() &= static_cast<std::byte>((1U << (pixel_bits % 8)) - 1);
  return bytes;
}

// Little endian from big endian: whole cells, or words of bytes where the VR is OW (PS3.5 section
// 7.3: the bytes of each 16-bit word).
void turn(const PixelDescription& d, Bytes& bytes) {
  const std::size_t cell = std::max<std::size_t>(d.bits_allocated / 8, d.in_words ? 2 : 1);
  for (std::size_t at = 0; cell > 1 && at + cell <= bytes.size(); at += cell) {
    std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                 bytes.begin() + static_cast<std::ptrdiff_t>(at + cell));
  }
}

// Two pixels in four bytes: Y Y Cb Cr (PS3.3 section C.7.6.3.1.2).
void upsample(ByteSpan bytes, DecodedFrame& frame) {
  std::size_t to = 0;
  for (std::size_t at = 0; at + 4 <= bytes.size() && to + 6 <= frame.pixels.size(); at += 4) {
    for (std::size_t y = 0; y < 2; ++y) {
      frame.pixels[to++] = bytes[at + y];
      frame.pixels[to++] = bytes[at + 2];
      frame.pixels[to++] = bytes[at + 3];
    }
  }
}

void interleave(const PixelDescription& d, ByteSpan bytes, DecodedFrame& frame) {
  const std::size_t plane = static_cast<std::size_t>(d.pixels());
  const std::size_t width = frame.bytes_per_sample;
  for (std::size_t c = 0; c < d.samples; ++c) {
    for (std::size_t i = 0; i < plane; ++i) {
      std::copy_n(bytes.data() + (c * plane + i) * width, width,
                  frame.pixels.data() + (i * d.samples + c) * width);
    }
  }
}

// By the type of a sample: this loop sees every pixel of every import. Blocks of fixed size are
// what the compiler makes vector instructions of.
template <typename Sample>
SampleRange range_as(ByteSpan pixels) {
  if (pixels.size() < sizeof(Sample)) return {};
  constexpr std::size_t kBlock = 64;
  std::array<Sample, kBlock> smallest, largest, block;
  smallest.fill(std::numeric_limits<Sample>::max());
  largest.fill(std::numeric_limits<Sample>::lowest());
  std::size_t at = 0;
  for (; at + sizeof(block) <= pixels.size(); at += sizeof(block)) {
    std::memcpy(block.data(), pixels.data() + at, sizeof(block));
    for (std::size_t i = 0; i < kBlock; ++i) smallest[i] = std::min(smallest[i], block[i]);
    for (std::size_t i = 0; i < kBlock; ++i) largest[i] = std::max(largest[i], block[i]);
  }
  for (; at + sizeof(Sample) <= pixels.size(); at += sizeof(Sample)) {
    Sample value;
    std::memcpy(&value, pixels.data() + at, sizeof(Sample));
    smallest[0] = std::min(smallest[0], value);
    largest[0] = std::max(largest[0], value);
  }
  return {*std::ranges::min_element(smallest), *std::ranges::max_element(largest)};
}

SampleRange range_of(ByteSpan pixels, std::uint32_t bytes_per_sample, bool is_signed) {
  switch (bytes_per_sample) {
    case 1:
      return is_signed ? range_as<std::int8_t>(pixels) : range_as<std::uint8_t>(pixels);
    case 2:
      return is_signed ? range_as<std::int16_t>(pixels) : range_as<std::uint16_t>(pixels);
    default:
      return is_signed ? range_as<std::int32_t>(pixels) : range_as<std::uint32_t>(pixels);
  }
}

// Most files: their pixels are what a decoder would give, and are not copied.
bool is_decoded_as_it_lies(const PixelDescription& d) {
  const dicom::TransferSyntax* syntax = dicom::find_transfer_syntax(d.transfer_syntax_uid);
  return d.form == FrameForm::transcoded && syntax != nullptr && !syntax->encapsulated &&
         !syntax->big_endian && !is_subsampled(d) && (!d.planar || d.samples == 1);
}

void note_decoded(ByteSpan pixels, std::uint32_t bytes_per_sample, bool is_signed,
                  FrameRecord& record) {
  const SampleRange range = range_of(pixels, bytes_per_sample, is_signed);
  record.size_bytes = pixels.size();
  record.checksum = crc32(pixels);
  record.smallest = range.smallest;
  record.largest = range.largest;
  record.state = FrameState::measured;
}

Result<DecodedFrame> decode_native(const PixelDescription& d, ByteSpan bytes) {
  TRY_ASSIGN(DecodedFrame frame, blank_frame(d));
  if (bytes.size() * 8 < native_frame_bits(d)) return broken("The frame has too few bytes");
  if (is_subsampled(d)) {
    upsample(bytes, frame);
  } else if (d.planar && d.samples > 1) {
    interleave(d, bytes, frame);
  } else {
    std::copy_n(bytes.begin(), frame.pixels.size(), frame.pixels.begin());
  }
  return frame;
}

}  // namespace

void prepare_codecs() {
  register_dcmtk_codecs();
}

SampleRange range_of(const DecodedFrame& frame) {
  return range_of(frame.pixels, frame.bytes_per_sample, frame.is_signed);
}

std::uint32_t depth_for(const DecodedFrame& frame, const SampleRange& range) {
  const std::int64_t most = std::int64_t{1} << (frame.bits_stored - (frame.is_signed ? 1 : 0));
  const bool within =
      range.largest < most && range.smallest >= (frame.is_signed ? -most : std::int64_t{0});
  return within ? frame.bits_stored : 8 * frame.bytes_per_sample;
}

Result<DecodedFrame> blank_frame(const PixelDescription& d) {
  if (d.pixels() == 0 || d.rows > 65535 || d.columns > 65535 || d.samples == 0 || d.samples > 4 ||
      (d.bits_allocated != 8 && d.bits_allocated != 16 && d.bits_allocated != 32) ||
      d.bits_stored == 0 || d.bits_stored > d.bits_allocated) {
    return unsupported("Pixels of this shape are not decoded here");
  }
  DecodedFrame frame;
  frame.rows = d.rows;
  frame.columns = d.columns;
  frame.samples = d.samples;
  frame.bytes_per_sample = d.bits_allocated / 8;
  frame.bits_stored = d.bits_stored;
  frame.is_signed = d.is_signed;
  frame.is_colour = d.samples == 3;
  const std::uint64_t size = d.pixels() * d.samples * frame.bytes_per_sample;
  if (size > kMostFrameBytes) {
    return permanent_error("pixels.too_large", "The frame is too large to be decoded.");
  }
  frame.pixels.resize(static_cast<std::size_t>(size));
  return frame;
}

std::uint64_t native_frame_bits(const PixelDescription& d) {
  if (is_subsampled(d)) return d.pixels() * 2 * d.bits_allocated;
  return d.pixels() * d.samples * d.bits_allocated;
}

bool is_stored_as_it_came(const PixelDescription& d) {
  return d.form == FrameForm::kept || (d.form == FrameForm::native && !is_encapsulated(d));
}

FrameForm form_of(const PixelDescription& d) {
  const dicom::TransferSyntax* syntax = dicom::find_transfer_syntax(d.transfer_syntax_uid);
  if (syntax != nullptr && syntax->import == dicom::Import::kept) return FrameForm::kept;
  // Code streams have up to 16 bits here: what OpenJPH and the stock viewers' decoder can do.
  const bool one_bit = d.bits_allocated == 1 && is_encapsulated(d);
  const bool fits = (one_bit || d.bits_allocated == 8 || d.bits_allocated == 16) &&
                    d.bits_stored >= 1 && d.bits_stored <= d.bits_allocated && d.samples >= 1 &&
                    d.samples <= 4;
  if (is_encapsulated(d)) return fits ? FrameForm::transcoded : FrameForm::native;
  const bool other_subsampling = d.photometric.find("420") != std::string::npos;
  const bool odd = is_subsampled(d) && (d.columns % 2 != 0 || d.bits_allocated != 8);
  return fits && !other_subsampling && !odd ? FrameForm::transcoded : FrameForm::native;
}

Result<Bytes> frame_bytes(const PixelDescription& d, const FrameRecord& record, ByteSpan covered) {
  if (record.fragments > 0) return without_items(record, covered);
  if (record.bit_offset > 0 || d.bits_allocated == 1) {
    const auto size = static_cast<std::size_t>((native_frame_bits(d) + 7) / 8);
    if (covered.size() < size) return broken("The frame has too few bytes");
    return packed_bits(covered, record.bit_offset, native_frame_bits(d));
  }
  Bytes bytes(covered.begin(), covered.end());
  const dicom::TransferSyntax* syntax = dicom::find_transfer_syntax(d.transfer_syntax_uid);
  if (syntax != nullptr && syntax->big_endian) turn(d, bytes);
  const auto size = static_cast<std::size_t>((native_frame_bits(d) + 7) / 8);
  if (bytes.size() > size) bytes.resize(size);  // the other half of the last word
  return bytes;
}

Result<DecodedFrame> decode_frame(const PixelDescription& described, ByteSpan bytes) {
  PixelDescription d = described;
  // One-bit pixels come out of a code stream as a byte each.
  if (d.bits_allocated == 1 && is_encapsulated(d)) d.bits_allocated = 8;
  const dicom::TransferSyntax* syntax = dicom::find_transfer_syntax(d.transfer_syntax_uid);
  if (syntax == nullptr) return unsupported("The transfer syntax is not known");
  if (!syntax->encapsulated) return decode_native(d, bytes);
  const std::string_view uid = syntax->uid;
  if (uid == "1.2.840.10008.1.2.4.90" || uid == "1.2.840.10008.1.2.4.91") {
    return decode_jpeg2000(d, bytes);
  }
  if (uid.starts_with("1.2.840.10008.1.2.4.20")) return decode_htj2k(d, bytes);
  const bool dcmtk = uid == "1.2.840.10008.1.2.5" || uid == "1.2.840.10008.1.2.4.80" ||
                     uid == "1.2.840.10008.1.2.4.81" || uid == "1.2.840.10008.1.2.4.50" ||
                     uid == "1.2.840.10008.1.2.4.51" || uid == "1.2.840.10008.1.2.4.57" ||
                     uid == "1.2.840.10008.1.2.4.70";
  if (dcmtk) return decode_with_dcmtk(d, bytes);
  return unsupported("There is no decoder for this transfer syntax");
}

Result<Bytes> encode_frame(const DecodedFrame& frame, std::string_view lossless_format) {
  if (frame.bytes_per_sample > 2) return unsupported("Pixels of 32 bits are not encoded here");
  return lossless_format == "JPEG_2000_LOSSLESS" ? encode_jpeg2000(frame) : encode_htj2k(frame);
}

void measure_frame(const PixelDescription& d, ByteSpan covered, FrameRecord& record) {
  record.state = FrameState::broken;
  if (is_decoded_as_it_lies(d)) {
    note_decoded(covered, d.bits_allocated / 8, d.is_signed, record);
    return;
  }
  const Result<Bytes> bytes = frame_bytes(d, record, covered);
  if (!bytes) return;
  record.size_bytes = bytes->size();
  if (is_stored_as_it_came(d)) {
    record.checksum = crc32(*bytes);
    record.state = FrameState::measured;
    return;
  }
  const Result<DecodedFrame> frame = decode_frame(d, *bytes);
  if (frame) note_decoded(frame->pixels, frame->bytes_per_sample, frame->is_signed, record);
}

}  // namespace isthmus::datastore
