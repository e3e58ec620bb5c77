// What an S3 answer means to us: the one place where its error names become our codes and fates.
#pragma once

#include <string_view>

#include "base/env.h"
#include "http/http.h"

namespace isthmus::s3 {

struct Refusal {
  std::string s3_code;  // "NoSuchKey"; assumed from the status when the answer does not say
  Error error;
};

// For an answer that is not a success. Reads its body. Nothing of the body but the error's name
// gets into the message: servers repeat keys and policies in theirs.
Refusal refusal_of(http::Response& response, WallTime now);

}  // namespace isthmus::s3
