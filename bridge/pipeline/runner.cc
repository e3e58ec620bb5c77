#include "pipeline/runner.h"

#include <string>

namespace isthmus {
namespace {

constexpr Backoff kAfterError{Milliseconds{500}, Milliseconds{60'000}};

}  // namespace

struct Runner::Worker {
  Worker(Env& env, std::unique_ptr<Step> owned)
      : step(std::move(owned)),
        runs(env.metrics.counter("pipeline_step_runs_total", "Runs of a pipeline step.",
                                 {{"step", std::string(step->name())}})) {}

  std::unique_ptr<Step> step;
  Counter& runs;
  Wakeup work;     // there may be something to do
  Wakeup stopped;  // waits that a wakeup must not shorten end with this one
  Thread thread;
};

namespace {

void count_error(Env& env, std::string_view step, const Error& error) {
  env.metrics
      .counter("pipeline_step_errors_total", "Runs of a pipeline step that ended in an error.",
               {{"step", std::string(step)}, {"fate", std::string(to_string(error.fate))}})
      .add();
}

}  // namespace

Runner::Runner(Env& env) : env_(env) {}

Runner::~Runner() {
  stop();
}

void Runner::add(std::unique_ptr<Step> step) {
  workers_.push_back(std::make_unique<Worker>(env_, std::move(step)));
}

void Runner::start() {
  for (const auto& worker : workers_) {
    if (worker->thread.joinable() || stopping_) continue;
    worker->thread =
        Thread(env_, std::string(worker->step->name()), [this, &worker = *worker] { run(worker); });
  }
}

void Runner::wake() {
  for (const auto& worker : workers_) worker->work.notify();
}

void Runner::stop() {
  stopping_ = true;
  for (const auto& worker : workers_) {
    worker->stopped.notify();
    worker->work.notify();
  }
  for (const auto& worker : workers_) worker->thread.join();
}

void Runner::run(Worker& worker) {
  std::int64_t errors_in_a_row = 0;
  while (!stopping_) {
    const Result<NextRun> result = worker.step->run_once();
    worker.runs.add();
    if (result.ok()) {
      errors_in_a_row = 0;
      if (result->in.count() == 0) continue;
      worker.stopped.wait_for(std::min(worker.step->spacing(), result->in));
      if (!stopping_) worker.work.wait_for(result->in);
      continue;
    }
    const Error& error = result.error();
    count_error(env_, worker.step->name(), error);
    const bool fatal = error.fate == Fate::fatal;
    env_.log.event(
        fatal ? LogLevel::error : LogLevel::warn, "step.failed",
        {{"step", worker.step->name()}, {"code", error.code}, {"reason", error.message}});
    if (fatal) {
      env_.on_fatal(error);
      return;
    }
    // Not shortened by wakeups: whatever failed is not mended by more arrivals.
    worker.stopped.wait_for(kAfterError.delay(++errors_in_a_row, env_.entropy));
  }
}

}  // namespace isthmus
