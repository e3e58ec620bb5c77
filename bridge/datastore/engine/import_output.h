// What an import job leaves in its output bucket: contracts/healthimaging/README.md section 3.
#pragma once

#include "datastore/engine/import_jobs.h"
#include "datastore/engine/objects.h"

namespace isthmus::datastore {

// Writes SUCCESS, FAILURE and WARNING files of a published job, and last its manifest: who sees the
// manifest sees the rest. Made from the job's rows alone, so writing it again writes the same.
// "datastore.import_refused" (permanent) when the output bucket is not there.
Result<void> write_import_output(ImportJobs& jobs, Objects& objects, Blobs& blobs,
                                 const ImportJobRecord& job);

}  // namespace isthmus::datastore
