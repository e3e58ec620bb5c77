// Unpacks what GetImageSetMetadata answers: always gzip, which stock clients hand on as it is
// (contracts/healthimaging/README.md section 4). Private to imports.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace isthmus::healthimaging {

// At most `limit` bytes of text. "metadata.unavailable" (transient) when it is cut short or no
// gzip, "metadata.too_large" (permanent) beyond the limit.
Result<std::string> gunzip(std::string_view packed, std::uint64_t limit);

}  // namespace isthmus::healthimaging
