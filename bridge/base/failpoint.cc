#include "base/failpoint.h"

#include <csignal>

#include <array>
#include <atomic>
#include <mutex>

namespace isthmus {
namespace {

struct Entry {
  Failpoint point;
  std::string_view text;
};
constexpr std::array kEntries{
#define ISTHMUS_FAILPOINT(name, text, where) Entry{Failpoint::name, text},
#include "base/failpoints.def"
#undef ISTHMUS_FAILPOINT
};

// Process-wide on purpose: a failpoint stands for the death of the process.
struct Armed {
  std::mutex mutex;
  std::optional<Failpoint> point;
  int countdown = 0;
  std::function<void()> action;
};
Armed& armed() {
  static Armed state;
  return state;
}
std::atomic<bool> any_armed{false};

}  // namespace

std::string_view to_string(Failpoint point) {
  return kEntries[static_cast<std::size_t>(point)].text;
}

std::optional<Failpoint> failpoint_from(std::string_view text) {
  for (const Entry& entry : kEntries) {
    if (entry.text == text) return entry.point;
  }
  return std::nullopt;
}

std::vector<Failpoint> all_failpoints() {
  std::vector<Failpoint> points;
  for (const Entry& entry : kEntries) points.push_back(entry.point);
  return points;
}

void arm_failpoint(Failpoint point, int nth, std::function<void()> action) {
  Armed& state = armed();
  const std::lock_guard lock(state.mutex);
  state.point = point;
  state.countdown = nth;
  state.action = action ? std::move(action) : [] { ::raise(SIGKILL); };
  any_armed.store(true, std::memory_order_relaxed);
}

void disarm_failpoints() {
  Armed& state = armed();
  const std::lock_guard lock(state.mutex);
  state.point.reset();
  any_armed.store(false, std::memory_order_relaxed);
}

namespace detail {

bool failpoints_armed() {
  return any_armed.load(std::memory_order_relaxed);
}

void reach_failpoint(Failpoint point) {
  std::function<void()> action;
  {
    Armed& state = armed();
    const std::lock_guard lock(state.mutex);
    if (state.point != point || --state.countdown > 0) return;
    action = std::move(state.action);
    state.point.reset();
    any_armed.store(false, std::memory_order_relaxed);
  }
  action();
}

}  // namespace detail
}  // namespace isthmus
