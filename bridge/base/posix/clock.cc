#include <sys/random.h>

#include <cerrno>
#include <cstdlib>
#include <thread>

#include "base/env.h"

namespace isthmus {
namespace {

class SystemClock : public Clock {
 public:
  WallTime wall_now() const override {
    return std::chrono::floor<Milliseconds>(std::chrono::system_clock::now());
  }
  SteadyTime steady_now() const override {
    return std::chrono::floor<Milliseconds>(std::chrono::steady_clock::now());
  }
  void sleep_for(Milliseconds duration) override { std::this_thread::sleep_for(duration); }
};

class SystemEntropy : public Entropy {
 public:
  void fill(MutableByteSpan into) override {
    for (std::size_t done = 0; done < into.size();) {
      const auto count = ::getrandom(into.data() + done, into.size() - done, 0);
      if (count < 0) {
        ASSERT(errno == EINTR);
        continue;
      }
      done += static_cast<std::size_t>(count);
    }
  }
};

}  // namespace

std::optional<std::string> environment_variable(const std::string& name) {
  if (const char* value = std::getenv(name.c_str())) return value;
  return std::nullopt;
}

Clock& system_clock() {
  static SystemClock clock;
  return clock;
}

Entropy& system_entropy() {
  static SystemEntropy entropy;
  return entropy;
}

}  // namespace isthmus
