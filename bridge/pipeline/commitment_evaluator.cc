#include <algorithm>

#include "base/failpoint.h"
#include "pipeline/commitment.h"
#include "pipeline/dates.h"

namespace isthmus {
namespace {

constexpr std::size_t kRequestsPerRun = 200;
constexpr std::size_t kForgottenPerRun = 20;
constexpr Milliseconds kFirstLook{1'000};
constexpr Milliseconds kLongestLook{60'000};
constexpr Milliseconds kForgetEvery{3'600'000};

class Evaluator final : public Step {
 public:
  Evaluator(Env& env, Commitments& commitments, Spool& spool, EvaluatorOptions options)
      : env_(env),
        commitments_(commitments),
        spool_(spool),
        options_(std::move(options)),
        answered_(env.metrics.counter("commitment_answered_total",
                                      "Storage commitment requests whose result stands.")),
        seconds_(env.metrics.histogram("commitment_evaluation_seconds",
                                       "How long looking at one commitment request took.")) {}

  std::string_view name() const override { return "commitment_evaluator"; }

  Result<NextRun> run_once() override {
    const WallTime now = env_.clock.wall_now();
    TRY_ASSIGN(const std::vector<Commitment> due, commitments_.due_pending(now, kRequestsPerRun));
    if (!due.empty()) TRY(spool_.catch_up());
    std::vector<CommitmentDate> waiting;
    for (const Commitment& request : due) {
      TRY_ASSIGN(const bool waits, look_at(request, now));
      if (waits) waiting.push_back({request.id, next_look(request, now), request.next_attempt_at});
    }
    if (!waiting.empty()) TRY(commitments_.look_again(waiting));
    TRY(forget(now));
    if (due.size() == kRequestsPerRun) return NextRun{};
    TRY_ASSIGN(const std::optional<WallTime> next, commitments_.next_pending_at());
    return run_at(env_.clock.wall_now(), next);
  }

 private:
  // True when it is to be waited for.
  Result<bool> look_at(const Commitment& request, WallTime now) {
    const SteadyTime start = env_.clock.steady_now();
    FAILPOINT(commitment_before_answer);
    const auto concluded =
        commitments_.conclude(request.id, options_.levels, now + options_.retry_for);
    if (!concluded.ok()) {
      if (!moved_meanwhile(concluded.error())) return concluded.error();
      return false;
    }
    seconds_.observe(static_cast<double>(took_ms(env_, start)) / 1000.0);
    if (concluded->state == CommitmentState::pending) return true;
    FAILPOINT(commitment_answered);
    answered_.add();
    env_.log.info("commitment.answered", {{"commitment", request.id.text()},
                                          {"calling_ae_title", request.calling_ae_title},
                                          {"references", concluded->references},
                                          {"failed", concluded->failed},
                                          {"took_ms", took_ms(env_, start)}});
    return false;
  }

  // The longer it has waited, the less often it is looked at; and never later than a deadline that
  // may end the wait.
  static WallTime next_look(const Commitment& request, WallTime now) {
    const auto age = now - request.requested_at;
    WallTime next = now + std::clamp(Milliseconds(age / 8), kFirstLook, kLongestLook);
    for (const WallTime deadline : {request.unknown_until, request.answer_until}) {
      if (deadline > now) next = std::min(next, deadline);
    }
    return next;
  }

  Result<void> forget(WallTime now) {
    if (forgotten_at_ && now - *forgotten_at_ < kForgetEvery && now >= *forgotten_at_) return {};
    TRY_ASSIGN(const std::int64_t forgotten,
               commitments_.forget_references(now - options_.retention, kForgottenPerRun));
    if (forgotten < static_cast<std::int64_t>(kForgottenPerRun)) forgotten_at_ = now;
    return {};
  }

  Env& env_;
  Commitments& commitments_;
  Spool& spool_;
  const EvaluatorOptions options_;
  std::optional<WallTime> forgotten_at_;
  Counter& answered_;
  Histogram& seconds_;
};

}  // namespace

std::unique_ptr<Step> make_commitment_evaluator(Env& env, Commitments& commitments, Spool& spool,
                                                EvaluatorOptions options) {
  return std::make_unique<Evaluator>(env, commitments, spool, std::move(options));
}

}  // namespace isthmus
