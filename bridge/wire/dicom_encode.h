// Writes a data set of plain metadata and bulk data in Explicit VR Little Endian (PS3.5 Annex A.2,
// A.4), piece by piece. Private to api/stow.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/bytes.h"
#include "wire/dicom_model.h"

namespace isthmus::api::stow {

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
Result<void> encode(const wire::DicomObject& object, const FindBulk& find_bulk,
                    const BytesSink& sink);

}  // namespace isthmus::api::stow
