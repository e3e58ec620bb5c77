// JPEG 2000 by OpenJPEG: the only code that calls it. Errors: "pixels.broken" (permanent).
#pragma once

#include "datastore/engine/pixels/decoded_frame.h"

namespace isthmus::datastore {

// Reversible, a raw code stream: 1.2.840.10008.1.2.4.90 (PS3.5 section A.4.4).
Result<Bytes> encode_jpeg2000(const DecodedFrame& frame);
// A raw code stream, or one in a JP2 file, which senders write though they should not. Into a frame
// of the shape that the description says; another shape is an error.
Result<DecodedFrame> decode_jpeg2000(const PixelDescription& description, ByteSpan code_stream);

}  // namespace isthmus::datastore
