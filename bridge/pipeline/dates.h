// Dates that steps give to rows and to the runner. Private to the pipeline.
#pragma once

#include <algorithm>
#include <optional>

#include "base/env.h"
#include "pipeline/step.h"

namespace isthmus {

// How long a step waits that knows of no date. Wakeups come before; this is for a lost one.
constexpr Milliseconds kIdle{30'000};

// The run that a date asks for: 0 when it is past, kIdle at most and when there is none.
NextRun run_at(WallTime now, std::optional<WallTime> date);

// Whichever comes first; no date is later than any.
std::optional<WallTime> earlier(std::optional<WallTime> a, std::optional<WallTime> b);

// When the `attempt`th failure is to be tried again: by backoff, and not before the other side
// said.
WallTime retry_date(Env& env, const Backoff& backoff, std::int64_t attempt, const Error& error);

// Somebody else moved the row since it was read (a person ordered a retry): there is nothing to do
// for it any more, and nothing is wrong with the step.
inline bool moved_meanwhile(const Error& error) {
  return error.code == "ledger.no_transition" || error.code == "ledger.not_found";
}

// `written`'s error, unless the row moved meanwhile; then false and a line in the log.
Result<bool> still_ours(Env& env, const Result<void>& written, std::string_view step,
                        std::string_view subject_id);

// Whole milliseconds since `start`, for logs.
inline std::int64_t took_ms(Env& env, SteadyTime start) {
  return (env.clock.steady_now() - start).count();
}

}  // namespace isthmus
