// Writes a data set of plain metadata and bulk data in Explicit VR Little Endian (PS3.5 Annex A.2,
// A.4), piece by piece: what a Store request sent in parts becomes one instance again. No I/O.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/bytes.h"
#include "wire/dicom_model.h"
#include "wire/multipart.h"

namespace isthmus::wire {

using BytesSink = std::function<Result<void>(ByteSpan)>;

// The value behind a BulkDataURI.
struct Bulk {
  std::uint64_t size_bytes = 0;
  std::function<Result<void>(const BytesSink&)> read;
  bool encapsulated = false;  // one code stream: it becomes one fragment
};
// "stow.missing_bulk_data" (permanent) when nothing came under that URI, "stow.bulk_unsupported"
// (permanent) when it cannot be the value of this attribute.
using FindBulk =
    std::function<Result<Bulk>(const std::string& uri, std::uint32_t tag, bool top_level)>;

// Errors: "dicom_model.malformed" (permanent) for a value that its VR does not allow, those of
// `find_bulk`, of reading, and of `sink`.
Result<void> encode(const DicomObject& object, const FindBulk& find_bulk, const BytesSink& sink);

// The parts of bulk data that came with metadata (PS3.18 section 8.6.1.2.4).
struct BulkPart {
  MediaType media;
  std::string location;  // its Content-Location: the BulkDataURI that means it
  std::uint64_t size_bytes = 0;
  std::function<Result<void>(const BytesSink&)> read;
};
// Finds bulk data among these, which outlive it. A part of an image type is a code stream: only the
// pixel data of an instance may be one.
FindBulk bulk_among(std::span<const BulkPart> parts);
// That of the pixel data's part; Explicit VR Little Endian without a compressed one.
// "stow.bulk_unsupported" (permanent) when the image does not say how it is compressed, the
// metadata do not describe the pixels, or it would have to be cut into frames.
Result<std::string> assembled_transfer_syntax(const DicomObject& object,
                                              std::span<const BulkPart> parts);
// Text in these models is UTF-8: makes the object say so, where it has to. True when it did not.
bool say_utf8(DicomObject& object);

}  // namespace isthmus::wire
