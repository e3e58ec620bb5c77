// Holds the data store's blobs against its catalogue, beside a store that runs or without one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/env.h"

namespace isthmus::datastore {

struct VerifyOptions {
  FileSystem::Path directory;
  bool content = false;  // reads every blob and holds its bytes against its name
};

struct VerifyReport {
  std::uint64_t named_blobs = 0;       // that the catalogue names
  std::uint64_t missing_blobs = 0;     // of these, not there
  std::uint64_t damaged_blobs = 0;     // of these, with other bytes; looked for by `content` only
  std::uint64_t unnamed_blobs = 0;     // garbage: swept at the next start, or on its way to a row
  std::uint64_t catalogue_faults = 0;  // rows that contradict each other
  bool sound() const { return missing_blobs == 0 && damaged_blobs == 0 && catalogue_faults == 0; }
};

// `finding` gets a line for each problem: digests and ids, no names. What a running store removes
// meanwhile is looked at twice. "datastore.io" (fatal) when the catalogue cannot be read;
// "disk.…".
Result<VerifyReport> verify_data_store(Env& env, const VerifyOptions& options,
                                       const std::function<void(const std::string&)>& finding);

}  // namespace isthmus::datastore
