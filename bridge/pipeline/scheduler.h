// When a destination may be called: what its quotas, the site's hours and bandwidth, and its own
// condition allow. One scheduler per destination, so that one that is down delays no other. The
// stager, the submitter, the watcher and the batcher of the destination share it.
//
// In memory only: what must survive a death is in the ledger's rows; a new process begins with
// closed circuits and full bursts, and learns the rest from a call or two.
//
// Any thread. No call blocks.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "base/env.h"
#include "imports/import_service.h"
#include "pipeline/step.h"
#include "pipeline/upload_hours.h"

namespace isthmus {

// What is true of a destination right now, for status and metrics.
struct SchedulerState {
  std::string bucket_circuit;  // "closed", "open" or "half_open"
  std::string import_circuit;
  double starts_per_second = 0;  // as reduced after throttling
  double allowed_starts_per_second = 0;
  double start_tokens = 0;  // starts that may be made at once; below 1 the next one has to wait
  Milliseconds until_bucket_probe{0};  // 0: the circuit is not open
  Milliseconds until_import_probe{0};
  std::int64_t job_slots = 0;
  std::int64_t allowed_job_slots = 0;
  std::int64_t uploads = 0;  // at a time
  std::int64_t allowed_uploads = 0;
  std::uint64_t upload_bytes_per_second = 0;  // 0: no limit
  Milliseconds until_hours_open{0};           // 0: uploads are within their hours
  Milliseconds start_interval{0};  // what a start costs: quota, or how long jobs hold their slots
};

class Scheduler {
 public:
  virtual ~Scheduler() = default;

  // --- import jobs
  // How long until a job may be started, its slot not looked at; 0 is now.
  virtual Milliseconds until_start() = 0;
  virtual std::int64_t job_slots() const = 0;
  virtual void start_called() = 0;
  virtual void start_answered() = 0;
  // The service refused, or could not be reached. `jobs_in_flight`: those that hold a slot. Whether
  // the failure counts as an attempt of the batch: throttling does not, nor a probe of a service
  // that is out.
  virtual bool start_failed(const std::string& batch, const Error& error,
                            std::int64_t jobs_in_flight) = 0;
  virtual Milliseconds until_poll() = 0;
  virtual void poll_called() = 0;
  virtual void job_took(Milliseconds duration) = 0;
  // About how long the next start has to wait for the one before it, in the long run.
  virtual Milliseconds start_interval() const = 0;

  // --- uploads
  // How long until an upload may begin; 0 is now. `urgent`: at any hour of the day.
  virtual Milliseconds until_upload(bool urgent) = 0;
  // How many may run at a time.
  virtual std::int64_t uploads() const = 0;
  // How long until more bytes may go; 0 is now.
  virtual Milliseconds until_bytes() = 0;
  virtual void bytes_taken(std::uint64_t size_bytes) = 0;
  virtual void upload_succeeded() = 0;
  // As start_failed.
  virtual bool upload_failed(const std::string& delivery, const Error& error) = 0;

  virtual SchedulerState state() const = 0;
};

struct SchedulerOptions {
  std::size_t uploads = 8;                    // at a time
  std::uint64_t upload_bytes_per_second = 0;  // 0: no limit
  UploadHours hours;
  // Failures of different instances or batches in a row before the circuit opens.
  std::size_t failures_to_open = 4;
  Backoff backoff;  // of an open circuit, and after throttling without a date
};

// `destination` names the metrics; `limits` are the service's quotas. `env` must outlive it.
std::unique_ptr<Scheduler> make_scheduler(Env& env, const std::string& destination,
                                          const ImportLimits& limits, SchedulerOptions options);

// Says what is true in gauges, isthmus_scheduler_*, each time metrics are collected. Both must
// outlive the metrics' last collection.
void show_scheduler(Env& env, const std::string& destination, const Scheduler& scheduler);

}  // namespace isthmus
