// Reads what an ended job left and records one outcome for each instance of its batch. That a job
// succeeded proves nothing about an instance: only the job's own output does.
#include <array>
#include <map>
#include <string>

#include "base/failpoint.h"
#include "pipeline/dates.h"

namespace isthmus {
namespace {

constexpr std::size_t kBatchesPerRun = 16;

class Reconciler final : public Step {
 public:
  Reconciler(Env& env, Ledger& ledger, Destination& destination, ReconcilerOptions options)
      : env_(env),
        ledger_(ledger),
        destination_(destination),
        options_(options),
        counts_{&outcome_counter(OutcomeKind::imported), &outcome_counter(OutcomeKind::rejected),
                &outcome_counter(OutcomeKind::unaccounted)},
        stuck_(env.metrics.counter("batch_stuck_total", "Batches given up on.",
                                   {{"destination", destination.name}, {"step", "reconciler"}})) {}

  std::string_view name() const override { return "reconciler"; }

  Result<NextRun> run_once() override {
    const WallTime now = env_.clock.wall_now();
    TRY_ASSIGN(const std::vector<Batch> due,
               ledger_.due_batches(destination_.name, BatchState::settled, now, kBatchesPerRun));
    for (const Batch& batch : due) TRY(reconcile(batch));
    if (due.size() == kBatchesPerRun) return NextRun{};
    TRY_ASSIGN(const std::optional<WallTime> next,
               ledger_.next_batch_at(destination_.name, BatchState::settled));
    return run_at(env_.clock.wall_now(), next);
  }

 private:
  Result<void> reconcile(const Batch& batch) {
    const SteadyTime start = env_.clock.steady_now();
    TRY_ASSIGN(const ImportJob job, ledger_.settling_job(batch.id));
    TRY_ASSIGN(const std::vector<Expected> expected,
               ledger_.expected(batch.id, destination_.object_prefix));
    auto outcomes = destination_.service.outcomes(job.remote.value_or(RemoteJob{}), expected);
    if (!outcomes.ok()) {
      const Error& error = outcomes.error();
      if (error.fate == Fate::fatal) return error;
      if (error.code != "import.output_missing" || !patience_is_over(job)) {
        return not_read(batch, job, error);
      }
      // The job ended long ago and left nothing: it said nothing about anyone.
      outcomes = nobody_accounted_for(expected, error);
      env_.log.warn("batch.output_missing", {{"batch", batch.id.text()},
                                             {"job", job.intent.id.text()},
                                             {"destination", destination_.name}});
    }
    FAILPOINT(reconciler_read);
    const Result<void> recorded =
        ledger_.record_outcomes(batch.id, with_dates(*outcomes, expected));
    if (!recorded.ok() && recorded.error().code == "ledger.outcomes_incomplete") {
      return give_up(batch, recorded.error());
    }
    TRY_ASSIGN(const bool ours, still_ours(env_, recorded, name(), batch.id.text()));
    if (!ours) return {};
    FAILPOINT(reconciler_recorded);
    tell(batch, job, *outcomes, took_ms(env_, start));
    return {};
  }

  bool patience_is_over(const ImportJob& job) const {
    const WallTime ended = job.ended_at.value_or(job.intent.intended_at);
    return env_.clock.wall_now() - ended >= options_.output_patience;
  }

  Result<void> not_read(const Batch& batch, const ImportJob& job, const Error& error) {
    // Output that makes no sense stays so. Access that is denied, say, may be mended in the
    // meantime, and then reading once more is better than importing once more.
    const bool hopeless = error.code == "import.output_unreadable" ||
                          (error.fate == Fate::permanent && patience_is_over(job));
    if (hopeless) return give_up(batch, error);
    const WallTime next = retry_date(env_, options_.backoff, batch.attempts + 1, error);
    env_.log.warn("batch.output_not_read", {{"batch", batch.id.text()},
                                            {"job", job.intent.id.text()},
                                            {"destination", destination_.name},
                                            {"code", error.code},
                                            {"next", to_rfc3339(next)}});
    TRY(still_ours(env_, ledger_.postpone_batch(batch.id, error, next), name(), batch.id.text()));
    return {};
  }

  static std::vector<Outcome> nobody_accounted_for(const std::vector<Expected>& expected,
                                                   const Error& error) {
    std::vector<Outcome> outcomes;
    for (const Expected& instance : expected) {
      Outcome& outcome = outcomes.emplace_back();
      outcome.delivery = instance.delivery;
      outcome.kind = OutcomeKind::unaccounted;
      outcome.reason_code = error.code;
      outcome.reason = error.message;
    }
    return outcomes;
  }

  // Unaccounted ones that have tried as often get the same date: they were of one batch, and become
  // one batch again instead of a job each.
  std::vector<OutcomeRecord> with_dates(const std::vector<Outcome>& outcomes,
                                        const std::vector<Expected>& expected) {
    std::map<DeliveryId, std::int64_t> attempts;
    for (const Expected& instance : expected) attempts[instance.delivery] = instance.attempts + 1;
    std::map<std::int64_t, WallTime> dates;
    std::vector<OutcomeRecord> records;
    for (const Outcome& outcome : outcomes) {
      OutcomeRecord& record = records.emplace_back(OutcomeRecord{outcome, std::nullopt});
      if (outcome.kind != OutcomeKind::unaccounted) continue;
      const std::int64_t attempt = attempts[outcome.delivery];
      if (attempt >= options_.attempts) continue;
      auto date = dates.find(attempt);
      if (date == dates.end()) {
        const Milliseconds delay = options_.backoff.delay(attempt, env_.entropy);
        date = dates.emplace(attempt, env_.clock.wall_now() + delay).first;
      }
      record.next_attempt_at = date->second;
    }
    return records;
  }

  Result<void> give_up(const Batch& batch, const Error& error) {
    const Result<void> moved = ledger_.advance(batch.id, BatchEvent::give_up, &error);
    TRY_ASSIGN(const bool ours, still_ours(env_, moved, name(), batch.id.text()));
    if (!ours) return {};
    stuck_.add();
    env_.log.error("batch.stuck", {{"batch", batch.id.text()},
                                   {"destination", destination_.name},
                                   {"step", name()},
                                   {"code", error.code},
                                   {"reason", error.message}});
    return {};
  }

  void tell(const Batch& batch, const ImportJob& job, const std::vector<Outcome>& outcomes,
            std::int64_t took) {
    std::array<std::int64_t, 3> counted{};
    for (const Outcome& outcome : outcomes) ++counted[static_cast<std::size_t>(outcome.kind)];
    for (std::size_t kind = 0; kind < counted.size(); ++kind) {
      counts_[kind]->add(static_cast<double>(counted[kind]));
    }
    env_.log.info("batch.reconciled", {{"batch", batch.id.text()},
                                       {"job", job.intent.id.text()},
                                       {"destination", destination_.name},
                                       {"members", outcomes.size()},
                                       {"imported", counted[0]},
                                       {"rejected", counted[1]},
                                       {"unaccounted", counted[2]},
                                       {"took_ms", took}});
  }

  Counter& outcome_counter(OutcomeKind kind) {
    return env_.metrics.counter(
        "outcomes_total", "Outcomes of imports, by instance.",
        {{"destination", destination_.name}, {"kind", std::string(to_string(kind))}});
  }

  Env& env_;
  Ledger& ledger_;
  Destination& destination_;
  const ReconcilerOptions options_;
  const std::array<Counter*, 3> counts_;  // by OutcomeKind
  Counter& stuck_;
};

}  // namespace

std::unique_ptr<Step> make_reconciler(Env& env, Ledger& ledger, Destination& destination,
                                      ReconcilerOptions options) {
  return std::make_unique<Reconciler>(env, ledger, destination, options);
}

}  // namespace isthmus
