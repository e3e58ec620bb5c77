// Places where the crash suite makes the process die. One list of all of them: failpoints.def. Each
// is a relaxed atomic load when nothing is armed, so they stay in release builds.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

namespace isthmus {

enum class Failpoint {
#define ISTHMUS_FAILPOINT(name, text, where) name,
#include "base/failpoints.def"
#undef ISTHMUS_FAILPOINT
};

// The text of a failpoint ("spool.renamed"), and back.
std::string_view to_string(Failpoint point);
std::optional<Failpoint> failpoint_from(std::string_view text);
std::vector<Failpoint> all_failpoints();

// The `nth` time (1 is the next) that `point` is reached, `action` runs, once, in the thread that
// reached it. Default action: SIGKILL to this process. One point at a time may be armed.
void arm_failpoint(Failpoint point, int nth, std::function<void()> action = {});
void disarm_failpoints();

namespace detail {
bool failpoints_armed();
void reach_failpoint(Failpoint point);
}  // namespace detail

#define FAILPOINT(name)                                               \
  do {                                                                \
    if (::isthmus::detail::failpoints_armed()) {                      \
      ::isthmus::detail::reach_failpoint(::isthmus::Failpoint::name); \
    }                                                                 \
  } while (false)

}  // namespace isthmus
