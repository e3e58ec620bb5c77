#include "datastore/engine/import_runner.h"

#include <algorithm>
#include <mutex>

#include "datastore/engine/import_output.h"
#include "wire/healthimaging.h"

namespace isthmus::datastore {
namespace {

constexpr Milliseconds kLookAgain{1'000};
constexpr Milliseconds kAfterTrouble{2'000};
constexpr int kWorkerStarts = 3;  // in a row without success, then the job fails

Error stopped() {
  return transient_error("datastore.stopping", "The data store is being stopped.");
}

}  // namespace

ImportRunner::ImportRunner(Env& env, Blobs& blobs, Objects& objects, ImportJobs& jobs,
                           Examiner& examiner, std::size_t workers)
    : env_(env),
      blobs_(blobs),
      objects_(objects),
      jobs_(jobs),
      examiner_(examiner),
      workers_(std::max<std::size_t>(workers, 1)) {}

ImportRunner::~ImportRunner() {
  stop();
}

void ImportRunner::start() {
  if (thread_.joinable()) return;
  stopping_ = false;
  thread_ = Thread(env_, "ds-import", [this] { work(); });
}

void ImportRunner::stop() {
  stopping_ = true;
  wakeup_.notify();
  thread_.join();
}

void ImportRunner::work() {
  while (!stopping_) {
    const Result<bool> worked = run_once();
    if (worked && *worked) continue;
    if (!worked && worked.error().fate == Fate::fatal) {
      if (env_.on_fatal) env_.on_fatal(worked.error());
      return;
    }
    if (stopping_) return;
    if (!worked) env_.log.warn("datastore.import_postponed", {{"code", worked.error().code}});
    wakeup_.wait_for(worked ? kLookAgain : kAfterTrouble);
  }
}

Result<bool> ImportRunner::run_once() {
  TRY_ASSIGN(const std::optional<ImportJobRecord> job, jobs_.next_unfinished());
  if (!job) return false;
  Result<void> advanced = advance(*job);
  if (!advanced) advanced = settle(*job, advanced.error());
  TRY(std::move(advanced));
  return true;
}

Result<void> ImportRunner::advance(const ImportJobRecord& job) {
  std::string phase = job.phase;
  if (phase == "accepted") {
    env_.log.info("datastore.import_begins", {{"job", job.id}});
    TRY(begin(job));
    phase = "listed";
  }
  if (phase == "listed") {
    TRY(examine_pending(job));
    TRY(jobs_.publish(job));
  }
  TRY(write_import_output(jobs_, objects_, blobs_, job));
  TRY_ASSIGN(const std::vector<std::string> garbage, jobs_.conclude(job.id));
  objects_.collect(garbage);
  env_.log.info("datastore.import_completed", {{"job", job.id}});
  return {};
}

Result<void> ImportRunner::begin(const ImportJobRecord& job) {
  const auto input = wire::healthimaging::parse_s3_uri(job.input_s3_uri);
  if (!input) return permanent_error("datastore.import_refused", "inputS3Uri cannot be read.");
  if (job.import_configuration) {
    return permanent_error("datastore.import_refused",
                           "importConfiguration: this data store does not enhance metadata.");
  }
  return jobs_.begin(job, input->bucket, input->key);
}

Result<void> ImportRunner::examine_pending(const ImportJobRecord& job) {
  TRY_ASSIGN(const std::vector<PendingFile> files, jobs_.pending(job.id));
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  Result<void> outcome;
  const auto examine_some = [&] {
    while (true) {
      const std::size_t at = next++;
      if (at >= files.size()) return;
      Result<void> examined = stopping_ ? Result<void>(stopped()) : examine_one(job, files[at]);
      if (examined) continue;
      next = files.size();
      const std::lock_guard lock(mutex);
      outcome = std::move(examined);
      return;
    }
  };
  std::vector<Thread> threads;
  for (std::size_t i = 0; i < std::min(workers_, files.size()); ++i) {
    threads.emplace_back(env_, "ds-examine", examine_some);
  }
  for (Thread& thread : threads) thread.join();
  return outcome;
}

Result<void> ImportRunner::examine_one(const ImportJobRecord& job, const PendingFile& file) {
  TRY_ASSIGN(const Examination examination, examiner_.examine(blobs_.path_of(file.blob)));
  return jobs_.record(job.id, file.ordinal, examination);
}

Result<void> ImportRunner::settle(const ImportJobRecord& job, Error error) {
  if (error.fate == Fate::fatal || error.code == "datastore.stopping") return error;
  worker_starts_failed_ = error.code == "datastore.worker_start" ? worker_starts_failed_ + 1 : 0;
  if (error.fate == Fate::transient && worker_starts_failed_ < kWorkerStarts) return error;
  worker_starts_failed_ = 0;
  env_.log.error("datastore.import_failed", {{"job", job.id}, {"code", error.code}});
  TRY_ASSIGN(const std::vector<std::string> garbage, jobs_.fail(job.id, error.message));
  objects_.collect(garbage);
  return {};
}

}  // namespace isthmus::datastore
