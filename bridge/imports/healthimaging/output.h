// Reads what an import job left in its bucket (contracts/healthimaging section 3): the manifest and
// the ndjson files it points to, line by line.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/env.h"
#include "model/import_job.h"
#include "model/outcome.h"
#include "storage/object_store.h"

namespace isthmus::healthimaging {

// Where to look.
struct OutputPlace {
  std::string bucket;        // the one that the store reads
  std::string folder;        // key prefix, with a slash at its end
  std::string datastore_id;  // to find the job's folder when the service named only its parent
  std::string job_id;
};

// As ImportService::outcomes.
Result<std::vector<Outcome>> read_outcomes(Env& env, ObjectStore& store, const OutputPlace& place,
                                           std::span<const Expected> expected);

}  // namespace isthmus::healthimaging
