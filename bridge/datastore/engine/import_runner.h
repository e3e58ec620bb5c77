// Works on import jobs, one after the other in the order of their submission; the files of one job
// are examined by several workers at once. Everything it knows is in the catalogue: stopped or
// killed anywhere, it goes on where it was, and no file is imported twice.
#pragma once

#include <atomic>

#include "base/thread.h"
#include "datastore/engine/examiner.h"
#include "datastore/engine/import_jobs.h"
#include "datastore/engine/objects.h"

namespace isthmus::datastore {

class ImportRunner {
 public:
  ImportRunner(Env& env, Blobs& blobs, Objects& objects, ImportJobs& jobs, Examiner& examiner,
               std::size_t workers);
  ~ImportRunner();

  void start();
  // Ends after the files in hand. Safe twice and before start().
  void stop();
  // There may be a new job.
  void notify() { wakeup_.notify(); }

  // Works on the job that comes next as far as it can; false when there is none. What the thread
  // does again and again; for tests.
  Result<bool> run_once();

 private:
  void work();
  Result<void> advance(const ImportJobRecord& job);
  Result<void> begin(const ImportJobRecord& job);
  Result<void> examine_pending(const ImportJobRecord& job);
  Result<void> examine_one(const ImportJobRecord& job, const PendingFile& file);
  // A job that cannot go on ends FAILED; a problem of the moment is given back.
  Result<void> settle(const ImportJobRecord& job, Error error);

  Env& env_;
  Blobs& blobs_;
  Objects& objects_;
  ImportJobs& jobs_;
  Examiner& examiner_;
  const std::size_t workers_;
  std::atomic<bool> stopping_{false};
  int worker_starts_failed_ = 0;
  Wakeup wakeup_;
  Thread thread_;
};

}  // namespace isthmus::datastore
