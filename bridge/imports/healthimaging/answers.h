// What an answer of HealthImaging means to us: the one place where its exceptions become our codes
// and fates, for whole requests and for single files.
#pragma once

#include <string_view>

#include "base/env.h"
#include "http/http.h"
#include "model/outcome.h"

namespace isthmus::healthimaging {

// For an answer that is not a success. Reads its body.
Error error_of(http::Response& response, WallTime now);

// What becomes of a file that failed with this exception: `rejected` when the file itself is to
// blame, `unaccounted` (so that it is tried again) when the service or the bucket is.
OutcomeKind kind_of_failure(std::string_view exception_type);

// At most `limit` characters; never a part of one.
std::string cut(std::string_view text, std::size_t limit);

}  // namespace isthmus::healthimaging
