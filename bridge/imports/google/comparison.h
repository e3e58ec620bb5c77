// What became of each expected instance, by what the DICOM store holds. Private to imports.
#pragma once

#include <span>
#include <vector>

#include "imports/google.h"
#include "imports/google/calls.h"
#include "model/outcome.h"
#include "wire/healthcare.h"

namespace isthmus::google {

struct ComparisonMeans {
  Env& env;
  Calls& calls;
  Calls* logging;  // null: the log is not asked
  ObjectStore& staging;
  const InstanceLookup& instances;
  const GoogleImportOptions& options;
};

// One outcome for each expected instance, in their order, after `operation` has ended.
Result<std::vector<Outcome>> compare(const ComparisonMeans& means,
                                     const wire::healthcare::Operation& operation,
                                     std::span<const Expected> expected);

// "projects/p/…" → "p".
std::string project_of(const std::string& dicom_store);

}  // namespace isthmus::google
