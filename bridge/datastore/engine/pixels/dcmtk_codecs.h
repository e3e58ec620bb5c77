// JPEG (all processes), JPEG-LS and RLE by DCMTK's codecs. Errors: "pixels.broken" (permanent).
#pragma once

#include "datastore/engine/pixels/decoded_frame.h"

namespace isthmus::datastore {

// Once per process, before any frame is decoded.
void register_dcmtk_codecs();
// The samples as the code stream has them, without conversion of colours.
Result<DecodedFrame> decode_with_dcmtk(const PixelDescription& description, ByteSpan code_stream);

}  // namespace isthmus::datastore
