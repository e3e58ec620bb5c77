#include "plugin/import_jobs.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace isthmus::plugin {
namespace {

constexpr std::size_t kBatchesAtOnce = 1'000;
constexpr std::size_t kWaitingAtMost = 10'000;
constexpr Milliseconds kBetweenLooks{500};
constexpr BatchState kNotThrough[] = {BatchState::open, BatchState::sealed, BatchState::staged,
                                      BatchState::submitted, BatchState::settled};

// By what takes its time: gathering, uploading, the service's import.
float progress_of(BatchState state) {
  switch (state) {
    case BatchState::open:
      return 0.05F;
    case BatchState::sealed:
      return 0.2F;
    case BatchState::staged:
      return 0.5F;
    case BatchState::submitted:
      return 0.6F;
    case BatchState::settled:
      return 0.9F;
    default:
      return 1;
  }
}

}  // namespace

BatchJob::BatchJob(Env& env, Ledger& ledger, Batch batch, std::shared_ptr<std::atomic<int>> running)
    : env_(env), ledger_(ledger), batch_(std::move(batch)), running_(std::move(running)) {
  ++*running_;
}

BatchJob::Step BatchJob::step() {
  if (!is_running_) {  // it was paused, and goes on
    is_running_ = true;
    ++*running_;
  }
  const auto found = ledger_.batch(batch_.id);
  if (found.ok() && !*found) return Step::failed;
  if (found.ok()) batch_ = **found;
  switch (batch_.state) {
    case BatchState::reconciled:
    case BatchState::abandoned:  // its members are in another one
      return Step::succeeded;
    case BatchState::stuck:
      return Step::failed;
    default:
      env_.clock.sleep_for(kBetweenLooks);
      return Step::goes_on;
  }
}

void BatchJob::leave() {
  if (!is_running_) return;
  is_running_ = false;
  --*running_;
}

float BatchJob::progress() const {
  return progress_of(batch_.state);
}

std::string BatchJob::content() const {
  nlohmann::ordered_json body{{"Batch", batch_.id.text()},
                              {"Destination", batch_.destination},
                              {"State", to_string(batch_.state)},
                              {"Instances", batch_.members},
                              {"SizeBytes", batch_.size_bytes}};
  if (!batch_.reason_code.empty()) body["ReasonCode"] = batch_.reason_code;
  return body.dump();
}

ImportJobs::ImportJobs(Env& env, JobBoard& board, Ledger& ledger, ImportJobsOptions options)
    : env_(env), board_(board), ledger_(ledger), options_(std::move(options)) {}

void ImportJobs::start() {
  if (stopping_.load() || thread_.joinable() || options_.at_once == 0) return;
  thread_ = Thread(env_, "orthanc-jobs", [this] {
    while (!stopping_.load()) wakeup_.wait_for(run_once());
  });
}

void ImportJobs::begin_to_stop() {
  stopping_.store(true);
  wakeup_.notify();
}

void ImportJobs::stop() {
  begin_to_stop();
  thread_.join();
}

Milliseconds ImportJobs::run_once() {
  auto done = look();
  if (done.ok()) done = submit_waiting();
  if (!done.ok() && !complained_) {
    env_.log.warn("orthanc.jobs_wait",
                  {{"code", done.error().code}, {"error", done.error().message}});
  }
  complained_ = !done.ok();
  return options_.poll;
}

Result<void> ImportJobs::look() {
  std::set<BatchId> now;
  for (const std::string& destination : options_.destinations) {
    for (const BatchState state : kNotThrough) {
      TRY_ASSIGN(const auto batches, ledger_.batches(destination, state, kBatchesAtOnce));
      for (const Batch& batch : batches) {
        now.insert(batch.id);
        const bool is_new = !known_.contains(batch.id);
        if (is_new && waiting_.size() < kWaitingAtMost) waiting_.push_back(batch.id);
      }
    }
  }
  known_ = std::move(now);
  return {};
}

Result<void> ImportJobs::submit_waiting() {
  while (!waiting_.empty() && running_->load() < options_.at_once) {
    TRY_ASSIGN(const auto batch, ledger_.batch(waiting_.front()));
    if (batch) TRY(board_.submit(std::make_unique<BatchJob>(env_, ledger_, *batch, running_)));
    waiting_.pop_front();
  }
  return {};
}

}  // namespace isthmus::plugin
