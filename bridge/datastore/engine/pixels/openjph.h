// High-Throughput JPEG 2000 by OpenJPH: the only code that calls it. Errors: "pixels.broken"
// (permanent).
#pragma once

#include "datastore/engine/pixels/decoded_frame.h"

namespace isthmus::datastore {

// Reversible, RPCL, one quality layer: 1.2.840.10008.1.2.4.202 (PS3.5 section A.4.11), but for the
// TLM marker, which this version of the library cannot write.
Result<Bytes> encode_htj2k(const DecodedFrame& frame);
// Into a frame of the shape that the description says; another shape is an error.
Result<DecodedFrame> decode_htj2k(const PixelDescription& description, ByteSpan code_stream);

}  // namespace isthmus::datastore
