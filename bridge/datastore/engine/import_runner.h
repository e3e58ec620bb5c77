// Works on import jobs, several at once; the files of all of them are examined by as many workers
// as there are, shared fairly among the jobs. Everything it knows is in the catalogue: stopped or
// killed anywhere, it goes on where it was, and no file is imported twice.
#pragma once

#include <atomic>
#include <list>
#include <memory>

#include "base/thread.h"
#include "datastore/engine/examined_ahead.h"
#include "datastore/engine/examiner.h"
#include "datastore/engine/fair_share.h"
#include "datastore/engine/import_jobs.h"
#include "datastore/engine/objects.h"

namespace isthmus::datastore {

class ImportRunner {
 public:
  ImportRunner(Env& env, Blobs& blobs, Objects& objects, ImportJobs& jobs, Examiner& examiner,
               ExaminedAhead& ahead, std::size_t workers);
  ~ImportRunner();

  void start();
  // Ends after the files in hand. Safe twice and before start().
  void stop();
  // There may be a new job.
  void notify() { wakeup_.notify(); }

 private:
  // A job that is being worked on.
  struct Run {
    ImportJobRecord job;
    std::atomic<bool> ended{false};
    Wakeup pause;
    Thread thread;
  };

  void work();
  // Lets go of the runs that have ended; waits for the others too when all are meant.
  void end_runs(bool all);
  // Starts what is not worked on yet, as far as there is room.
  Result<void> start_runs();
  void run(Run& run);
  Result<void> advance(const ImportJobRecord& job);
  Result<void> begin(const ImportJobRecord& job);
  Result<void> conclude_google(const ImportJobRecord& job);
  // "datastore.stopping", "datastore.cancelled".
  Result<void> may_go_on(const ImportJobRecord& job);
  Result<void> examine_pending(const ImportJobRecord& job);
  // Takes files until none is left, and writes down what it found, several at a time.
  Result<void> examine_some(const ImportJobRecord& job, const std::vector<PendingFile>& files,
                            const ImportOverrides& overrides, std::atomic<std::size_t>& next);
  Result<ExaminedFile> examine_one(const ImportJobRecord& job, const PendingFile& file,
                                   const ImportOverrides& overrides);
  // The texts that the job's importConfiguration names, checked; their keys go to `beside`.
  Result<std::vector<OverrideText>> read_overrides(const ImportJobRecord& job,
                                                   std::vector<std::string>& beside);
  // A job that cannot go on ends FAILED; a problem of the moment is given back.
  Result<void> settle(const ImportJobRecord& job, Error error, int& worker_starts_failed);

  Env& env_;
  Blobs& blobs_;
  Objects& objects_;
  ImportJobs& jobs_;
  Examiner& examiner_;
  ExaminedAhead& ahead_;
  const std::size_t workers_;
  FairShare share_;
  std::atomic<bool> stopping_{false};
  Wakeup wakeup_;
  std::list<std::unique_ptr<Run>> runs_;  // of the thread below alone
  Thread thread_;
};

}  // namespace isthmus::datastore
