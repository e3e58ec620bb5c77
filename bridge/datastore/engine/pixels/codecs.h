// From the bytes of one frame to plain pixels, and from those to what is stored: everything that
// looks into pixel data. Runs in the import worker only.
//
// Errors, all permanent: "pixels.broken" (the code stream, or there are too few bytes),
// "pixels.unsupported" (nothing here decodes it), "pixels.too_large".
#pragma once

#include "datastore/engine/pixels/decoded_frame.h"

namespace isthmus::datastore {

// Once per process.
void prepare_codecs();

// The bytes of a frame out of those that its record covers: items are taken off, one-bit pixels
// shifted to begin with a byte, words of a big endian file turned.
Result<Bytes> frame_bytes(const PixelDescription& description, const FrameRecord& record,
                          ByteSpan covered);

// `bytes` as frame_bytes() gives them.
Result<DecodedFrame> decode_frame(const PixelDescription& description, ByteSpan bytes);

// "HTJ2K" or "JPEG_2000_LOSSLESS".
Result<Bytes> encode_frame(const DecodedFrame& frame, std::string_view lossless_format);

// Fills in checksum, size and range, and says "broken" when the frame cannot be decoded.
void measure_frame(const PixelDescription& description, ByteSpan covered, FrameRecord& record);

// How large a frame of native pixel data is; 0 for shapes that have no pixels.
std::uint64_t native_frame_bits(const PixelDescription& description);
// Whether frame_bytes() is what is stored, so that nothing decodes it.
bool is_stored_as_it_came(const PixelDescription& description);
// What an import makes of the pixel data (contracts/healthimaging/transfer-syntaxes.json).
FrameForm form_of(const PixelDescription& description);

}  // namespace isthmus::datastore
