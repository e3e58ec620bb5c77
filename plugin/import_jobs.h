// An Orthanc job for each import batch, so that Orthanc's own list of jobs tells how far it is.
//
// A job only looks: cancelling or pausing it does nothing to the import. While it runs it keeps one
// of Orthanc's job threads (ConcurrentJobs, 2 of them by default), so few run at once; the other
// batches wait for their job, and one that is through by then has a job that ends at once. Jobs are
// not kept by Orthanc over a restart: they are made anew for the batches that are not through.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/thread.h"
#include "ledger/ledger.h"

namespace isthmus::plugin {

// One batch, watched. Made by ImportJobs, then called by one thread of Orthanc at a time.
class BatchJob {
 public:
  enum class Step { goes_on, succeeded, failed };

  // References must outlive it. `running` counts those that keep a thread of Orthanc: shared,
  // because Orthanc keeps jobs in its history for as long as it likes.
  BatchJob(Env& env, Ledger& ledger, Batch batch, std::shared_ptr<std::atomic<int>> running);
  ~BatchJob() { leave(); }
  BatchJob(const BatchJob&) = delete;
  BatchJob& operator=(const BatchJob&) = delete;

  // Looks how far the batch is, and waits a little when it goes on. It failed when it is stuck, or
  // is gone.
  Step step();
  // Orthanc's thread is given back: paused, cancelled, or through.
  void leave();
  float progress() const;       // from 0 to 1
  std::string content() const;  // JSON: ids, counts, states and codes

 private:
  Env& env_;
  Ledger& ledger_;
  Batch batch_;
  const std::shared_ptr<std::atomic<int>> running_;
  bool is_running_ = true;
};

// Orthanc's jobs engine: a port.
class JobBoard {
 public:
  virtual ~JobBoard() = default;
  // "orthanc.failed" (transient).
  virtual Result<void> submit(std::unique_ptr<BatchJob> job) = 0;
};

struct ImportJobsOptions {
  std::vector<std::string> destinations;
  int at_once = 1;  // jobs that run; 0: there are none at all
  Milliseconds poll{1'000};
};

class ImportJobs {
 public:
  // References must outlive it.
  ImportJobs(Env& env, JobBoard& board, Ledger& ledger, ImportJobsOptions options);
  ~ImportJobs() { stop(); }

  // As Feed.
  void start();
  void stop();
  void begin_to_stop();

  // One bounded piece of work; gives how long nothing is to be done.
  Milliseconds run_once();

 private:
  Result<void> look();
  Result<void> submit_waiting();

  Env& env_;
  JobBoard& board_;
  Ledger& ledger_;
  const ImportJobsOptions options_;
  const std::shared_ptr<std::atomic<int>> running_ = std::make_shared<std::atomic<int>>(0);
  std::set<BatchId> known_;  // not through when they were seen last
  std::deque<BatchId> waiting_;
  bool complained_ = false;

  std::atomic<bool> stopping_{false};
  Wakeup wakeup_;
  Thread thread_;
};

}  // namespace isthmus::plugin
