// Starts import jobs over staged batches, at the pace and within the job slots of the service.
//
// A job must not be started twice. So the intent with its token is durable before the call; and
// when an earlier call with this intent may have arrived (the process died, the answer was lost)
// the service is asked for a job of that name before the call is made again, with the same token.
#include <map>
#include <set>
#include <string>

#include "base/failpoint.h"
#include "pipeline/dates.h"
#include "pipeline/fair_order.h"
#include "pipeline/scheduler.h"

namespace isthmus {
namespace {

constexpr std::size_t kBatchesPerRun = 100;
constexpr Milliseconds kFirstPoll{1'000};  // after the start; then the watcher's intervals

class Submitter final : public Step {
 public:
  Submitter(Env& env, Ledger& ledger, Destination& destination, SubmitterOptions options)
      : env_(env),
        ledger_(ledger),
        destination_(destination),
        options_(options),
        own_scheduler_(options.scheduler == nullptr ? make_own(env, destination, options)
                                                    : nullptr),
        scheduler_(options.scheduler == nullptr ? *own_scheduler_ : *options.scheduler),
        started_(env.metrics.counter("jobs_started_total", "Import jobs started.",
                                     {{"destination", destination.name}})),
        failed_(env.metrics.counter("job_start_failures_total", "Calls to start a job that failed.",
                                    {{"destination", destination.name}})),
        stuck_(env.metrics.counter("batch_stuck_total", "Batches given up on.",
                                   {{"destination", destination.name}, {"step", "submitter"}})) {}

  std::string_view name() const override { return "submitter"; }

  Result<NextRun> run_once() override {
    const WallTime now = env_.clock.wall_now();
    TRY_ASSIGN(std::vector<Batch> due,
               ledger_.due_batches(destination_.name, BatchState::staged, now, kBatchesPerRun));
    forget_studies_without_batches(due);
    put_in_fair_order(due, started_of_);
    for (const Batch& batch : due) {
      TRY_ASSIGN(const Milliseconds wait, turn());
      if (wait.count() > 0) return NextRun{std::min(wait, kIdle)};
      TRY(submit(batch));
    }
    if (due.size() == kBatchesPerRun) return NextRun{};
    TRY_ASSIGN(const std::optional<WallTime> next,
               ledger_.next_batch_at(destination_.name, BatchState::staged));
    return run_at(env_.clock.wall_now(), next);
  }

 private:
  static std::unique_ptr<Scheduler> make_own(Env& env, const Destination& destination,
                                             const SubmitterOptions& options) {
    SchedulerOptions own;
    own.backoff = options.backoff;
    return make_scheduler(env, destination.name, destination.service.limits(), own);
  }

  // How long until there is a job slot and a call to be had.
  Result<Milliseconds> turn() {
    const std::int64_t slots = scheduler_.job_slots();
    TRY_ASSIGN(const std::int64_t in_flight, ledger_.jobs_in_flight(destination_.name));
    if (in_flight >= slots) {
      // Intents that never became a job are among them, and it is this step that goes on with
      // those: only batches that are out with the service hold a slot.
      const auto limit = static_cast<std::size_t>(slots);
      TRY_ASSIGN(const std::vector<Batch> out,
                 ledger_.batches(destination_.name, BatchState::submitted, limit));
      if (out.size() >= limit) return kIdle;  // the end of a job is a wakeup
    }
    return scheduler_.until_start();
  }

  // A study of which nothing waits any more begins anew.
  void forget_studies_without_batches(const std::vector<Batch>& due) {
    std::erase_if(started_of_, [&](const auto& one) {
      return std::ranges::none_of(
          due, [&](const Batch& batch) { return batch.study_instance_uid == one.first; });
    });
  }

  Result<void> submit(const Batch& batch) {
    Result<ImportIntent> intent = ledger_.intend(batch.id, destination_.object_prefix);
    if (!intent.ok()) {
      TRY(still_ours(env_, std::move(intent).error(), name(), batch.id.text()));
      return {};
    }
    FAILPOINT(submitter_intended);
    TRY_ASSIGN(const bool inherited, ledger_.intent_is_inherited(intent->id));
    if (inherited || unanswered_.contains(intent->id)) {
      unanswered_.insert(intent->id);
      const auto found = destination_.service.find(*intent);
      if (!found.ok()) return not_asked(batch, *intent, found.error());
      if (found->has_value()) return note(batch, *intent, **found, "found");
    }
    return start(batch, *intent);
  }

  Result<void> start(const Batch& batch, const ImportIntent& intent) {
    unanswered_.insert(intent.id);
    scheduler_.start_called();
    const Result<RemoteJob> job = destination_.service.start(intent);
    if (!job.ok()) return refused(batch, intent, job.error());
    FAILPOINT(submitter_started);
    return note(batch, intent, *job, "started");
  }

  Result<void> note(const Batch& batch, const ImportIntent& intent, const RemoteJob& job,
                    std::string_view how) {
    const WallTime next_poll = env_.clock.wall_now() + kFirstPoll;
    TRY(ledger_.job_started(intent.id, job, next_poll));
    FAILPOINT(submitter_noted);
    unanswered_.erase(intent.id);
    ++started_of_[batch.study_instance_uid];
    scheduler_.start_answered();
    started_.add();
    env_.log.info("import.started", {{"job", intent.id.text()},
                                     {"remote_job", job.id},
                                     {"batch", batch.id.text()},
                                     {"destination", destination_.name},
                                     {"members", batch.members},
                                     {"size_bytes", batch.size_bytes},
                                     {"how", how}});
    return {};
  }

  // The service would not say whether there is a job. Attempts do not count here: giving up leads a
  // person to order another job, while this one may be running. But when we may not even ask, only
  // a person can mend it.
  Result<void> not_asked(const Batch& batch, const ImportIntent& intent, const Error& error) {
    if (error.fate == Fate::fatal) return error;
    if (error.fate == Fate::permanent) return give_up(batch, intent, error);
    TRY_ASSIGN(const bool counts, failed_at(batch, error));
    return counts ? postpone(batch, error) : Result<void>();
  }

  Result<void> refused(const Batch& batch, const ImportIntent& intent, const Error& error) {
    if (error.fate == Fate::fatal) return error;
    failed_.add();
    if (error.fate == Fate::permanent) return give_up(batch, intent, error);
    TRY_ASSIGN(const bool counts, failed_at(batch, error));
    if (!counts) return {};
    if (batch.attempts + 1 < options_.attempts) return postpone(batch, error);
    const auto found = destination_.service.find(intent);
    if (!found.ok()) return not_asked(batch, intent, found.error());
    if (found->has_value()) return note(batch, intent, **found, "found");
    return give_up(batch, intent, error);
  }

  // Whether the failure is an attempt of the batch. Being asked to slow down, or a service that is
  // out, is about all our calls: the batch stays due, and the scheduler says when.
  Result<bool> failed_at(const Batch& batch, const Error& error) {
    TRY_ASSIGN(const std::vector<Batch> out,
               ledger_.batches(destination_.name, BatchState::submitted, kBatchesPerRun));
    return scheduler_.start_failed(batch.id.text(), error, static_cast<std::int64_t>(out.size()));
  }

  Result<void> postpone(const Batch& batch, const Error& error) {
    const WallTime next = retry_date(env_, options_.backoff, batch.attempts + 1, error);
    env_.log.warn("import.start_failed", {{"batch", batch.id.text()},
                                          {"destination", destination_.name},
                                          {"attempt", batch.attempts + 1},
                                          {"code", error.code},
                                          {"next", to_rfc3339(next)}});
    TRY(still_ours(env_, ledger_.postpone_batch(batch.id, error, next), name(), batch.id.text()));
    return {};
  }

  Result<void> give_up(const Batch& batch, const ImportIntent& intent, const Error& error) {
    const Result<void> moved = ledger_.advance(batch.id, BatchEvent::give_up, &error);
    TRY_ASSIGN(const bool ours, still_ours(env_, moved, name(), batch.id.text()));
    if (!ours) return {};
    unanswered_.erase(intent.id);
    stuck_.add();
    env_.log.error("batch.stuck", {{"batch", batch.id.text()},
                                   {"destination", destination_.name},
                                   {"step", name()},
                                   {"code", error.code},
                                   {"reason", error.message}});
    return {};
  }

  Env& env_;
  Ledger& ledger_;
  Destination& destination_;
  const SubmitterOptions options_;
  const std::unique_ptr<Scheduler> own_scheduler_;
  Scheduler& scheduler_;
  Counter& started_;
  Counter& failed_;
  Counter& stuck_;
  // Calls of this process whose answer never came: the job may exist.
  std::set<ImportJobId> unanswered_;
  // By study, while batches of it wait. Only in memory: losing it costs fairness for a while.
  std::map<Uid, int> started_of_;
};

}  // namespace

std::unique_ptr<Step> make_submitter(Env& env, Ledger& ledger, Destination& destination,
                                     SubmitterOptions options) {
  return std::make_unique<Submitter>(env, ledger, destination, options);
}

}  // namespace isthmus
