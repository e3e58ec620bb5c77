#include "pipeline/dates.h"

namespace isthmus {

NextRun run_at(WallTime now, std::optional<WallTime> date) {
  if (!date) return NextRun{kIdle};
  return NextRun{std::clamp(*date - now, Milliseconds{0}, kIdle)};
}

std::optional<WallTime> earlier(std::optional<WallTime> a, std::optional<WallTime> b) {
  if (!a) return b;
  if (!b) return a;
  return std::min(*a, *b);
}

WallTime retry_date(Env& env, const Backoff& backoff, std::int64_t attempt, const Error& error) {
  const Milliseconds delay = backoff.delay(attempt, env.entropy);
  return env.clock.wall_now() + std::max(delay, error.retry_after.value_or(Milliseconds{0}));
}

Result<bool> still_ours(Env& env, const Result<void>& written, std::string_view step,
                        std::string_view subject_id) {
  if (written.ok()) return true;
  if (!moved_meanwhile(written.error())) return written.error();
  env.log.warn("step.row_moved",
               {{"step", step}, {"id", subject_id}, {"code", written.error().code}});
  return false;
}

}  // namespace isthmus
