// Asks for running import jobs, ever more rarely, until they end.
#include <map>
#include <string>

#include "base/failpoint.h"
#include "pipeline/dates.h"
#include "pipeline/scheduler.h"

namespace isthmus {
namespace {

constexpr std::size_t kJobsPerRun = 100;
// A service that lists jobs a little late says "not found" of one that runs. It is believed when it
// says so this often in a row, and does not find the job by its name either.
constexpr int kNotFoundBelieved = 3;
constexpr std::size_t kMessageBytes = 500;

class Watcher final : public Step {
 public:
  Watcher(Env& env, Ledger& ledger, Destination& destination, WatcherOptions options)
      : env_(env),
        ledger_(ledger),
        destination_(destination),
        options_(options),
        own_scheduler_(options.scheduler == nullptr
                           ? make_scheduler(env, destination.name, destination.service.limits(), {})
                           : nullptr),
        scheduler_(options.scheduler == nullptr ? *own_scheduler_ : *options.scheduler),
        polls_(env.metrics.counter("job_polls_total", "Questions for the state of a job.",
                                   {{"destination", destination.name}})),
        stuck_(env.metrics.counter("batch_stuck_total", "Batches given up on.",
                                   {{"destination", destination.name}, {"step", "watcher"}})) {}

  std::string_view name() const override { return "watcher"; }

  Result<NextRun> run_once() override {
    const WallTime now = env_.clock.wall_now();
    TRY_ASSIGN(const std::vector<ImportJob> due,
               ledger_.due_jobs(destination_.name, now, kJobsPerRun));
    for (const ImportJob& job : due) {
      if (!job.remote) continue;
      const Milliseconds wait = scheduler_.until_poll();
      if (wait.count() > 0) return NextRun{wait};
      TRY(watch(job));
    }
    if (due.size() == kJobsPerRun) return NextRun{};
    TRY_ASSIGN(const std::optional<WallTime> next, ledger_.next_poll_at(destination_.name));
    return run_at(env_.clock.wall_now(), next);
  }

 private:
  Result<void> watch(const ImportJob& job) {
    polls_.add();
    scheduler_.poll_called();
    const Result<RemoteStatus> status = destination_.service.status(*job.remote);
    if (!status.ok()) {
      if (status.error().code == "import.not_found") return not_found(job, status.error());
      return not_answered(job, status.error());
    }
    not_found_.erase(job.intent.id);
    if (status->state == RemoteState::running) return ask_later(job, Milliseconds{0});
    FAILPOINT(watcher_ended);
    if (status->state == RemoteState::failed) {
      return ended_badly(job, ImportJobEvent::ended_badly, *status);
    }
    TRY_ASSIGN(const bool ours,
               note(job, ImportJobEvent::ended_well, *status, env_.clock.wall_now()));
    if (ours) log_end(job, "succeeded", "");
    return {};
  }

  // Doubles from the first interval, with a fifth of jitter to either side: jobs that were started
  // together are not asked for together for ever.
  Result<void> ask_later(const ImportJob& job, Milliseconds at_least) {
    Milliseconds interval = options_.first_poll;
    for (std::int64_t i = 0; i < job.polls && interval < options_.longest_poll; ++i) interval *= 2;
    interval = std::min(interval, options_.longest_poll);
    const double share = 0.8 + 0.4 * unit_random(env_.entropy);
    interval =
        Milliseconds{static_cast<std::int64_t>(static_cast<double>(interval.count()) * share)};
    const WallTime next = env_.clock.wall_now() + std::max({interval, at_least, Milliseconds{50}});
    TRY(still_ours(env_, ledger_.postpone_poll(job.intent.id, next), name(), job.intent.id.text()));
    return {};
  }

  // A job that we may not ask for goes on being asked for: it may well be importing, so it can
  // neither be called failed nor be replaced by another.
  Result<void> not_answered(const ImportJob& job, const Error& error) {
    if (error.fate == Fate::fatal) return error;
    const LogLevel level = error.fate == Fate::permanent ? LogLevel::error : LogLevel::warn;
    env_.log.event(level, "import.status_failed",
                   {{"job", job.intent.id.text()},
                    {"destination", destination_.name},
                    {"code", error.code},
                    {"reason", error.message}});
    return ask_later(job, error.retry_after.value_or(Milliseconds{0}));
  }

  Result<void> not_found(const ImportJob& job, const Error& error) {
    int& times = not_found_[job.intent.id];
    if (++times < kNotFoundBelieved) return ask_later(job, Milliseconds{0});
    const auto found = destination_.service.find(job.intent);
    if (!found.ok()) return not_answered(job, found.error());
    if (found->has_value()) return not_answered(job, error);
    FAILPOINT(watcher_ended);
    return ended_badly(job, ImportJobEvent::not_found,
                       {RemoteState::failed, "the service does not know this job any more", ""});
  }

  // The batch goes back to staged, for a fresh job over the same objects; or asks for a person.
  Result<void> ended_badly(const ImportJob& job, ImportJobEvent event, const RemoteStatus& status) {
    TRY_ASSIGN(const std::optional<Batch> batch, ledger_.batch(job.intent.batch));
    const std::int64_t attempt = (batch ? batch->attempts : 0) + 1;
    const WallTime next = env_.clock.wall_now() + options_.backoff.delay(attempt, env_.entropy);
    TRY_ASSIGN(const bool ours, note(job, event, status, next));
    if (!ours) return {};
    log_end(job, event == ImportJobEvent::not_found ? "lost" : "failed", status.message);
    if (attempt < options_.attempts) return {};
    const Error why = permanent_error(
        event == ImportJobEvent::not_found ? "import.job_lost" : "import.job_failed",
        status.message);
    const Result<void> moved = ledger_.advance(job.intent.batch, BatchEvent::give_up, &why);
    TRY_ASSIGN(const bool stuck, still_ours(env_, moved, name(), job.intent.batch.text()));
    if (!stuck) return {};
    stuck_.add();
    env_.log.error("batch.stuck", {{"batch", job.intent.batch.text()},
                                   {"destination", destination_.name},
                                   {"step", name()},
                                   {"code", why.code},
                                   {"reason", why.message}});
    return {};
  }

  Result<bool> note(const ImportJob& job, ImportJobEvent event, const RemoteStatus& status,
                    WallTime next) {
    const std::string& output =
        status.output_prefix.empty() ? job.remote->output_prefix : status.output_prefix;
    const Result<void> moved = ledger_.job_ended(
        job.intent.id, event, status.message.substr(0, kMessageBytes), output, next);
    TRY_ASSIGN(const bool ours, still_ours(env_, moved, name(), job.intent.id.text()));
    if (!ours) return false;
    FAILPOINT(watcher_noted);
    not_found_.erase(job.intent.id);
    return true;
  }

  void log_end(const ImportJob& job, std::string_view state, const std::string& message) {
    env_.metrics
        .counter("jobs_ended_total", "Import jobs that came to their end.",
                 {{"destination", destination_.name}, {"state", std::string(state)}})
        .add();
    if (job.started_at) scheduler_.job_took(env_.clock.wall_now() - *job.started_at);
    const std::int64_t took =
        job.started_at ? (env_.clock.wall_now() - *job.started_at).count() : 0;
    env_.log.event(state == "succeeded" ? LogLevel::info : LogLevel::warn, "import.ended",
                   {{"job", job.intent.id.text()},
                    {"remote_job", job.remote->id},
                    {"batch", job.intent.batch.text()},
                    {"destination", destination_.name},
                    {"state", state},
                    {"reason", message},
                    {"took_ms", took}});
  }

  Env& env_;
  Ledger& ledger_;
  Destination& destination_;
  const WatcherOptions options_;
  const std::unique_ptr<Scheduler> own_scheduler_;
  Scheduler& scheduler_;
  Counter& polls_;
  Counter& stuck_;
  std::map<ImportJobId, int> not_found_;  // how often in a row, in this process
};

}  // namespace

std::unique_ptr<Step> make_watcher(Env& env, Ledger& ledger, Destination& destination,
                                   WatcherOptions options) {
  return std::make_unique<Watcher>(env, ledger, destination, options);
}

}  // namespace isthmus
