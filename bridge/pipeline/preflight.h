// What a destination would refuse, looked for before it is uploaded.
#pragma once

#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace isthmus {

enum class PreflightMode {
  off,
  warn,        // says so in the log, and sends it
  quarantine,  // keeps it for a person, who may have it sent all the same by a retry
};

// Any thread, many at once.
class Preflight {
 public:
  virtual ~Preflight() = default;
  // What speaks against a file, as permanent errors with stable codes ("preflight.uid_syntax") and
  // without values; none: nothing does. An Error is about reading the bytes.
  virtual Result<std::vector<Error>> examine(ByteSource& part10_file) = 0;
};

}  // namespace isthmus
