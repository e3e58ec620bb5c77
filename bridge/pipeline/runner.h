// One thread per step: runs it, waits for its date or a wakeup, runs it again.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "base/thread.h"
#include "pipeline/step.h"

namespace isthmus {

class Runner {
 public:
  explicit Runner(Env& env);
  ~Runner();
  // Before start(). Takes ownership.
  void add(std::unique_ptr<Step> step);
  void start();
  // A hint to every step that there may be work. Never blocks. Any thread.
  void wake();
  // Returns when no step runs any more. Safe twice and before start().
  void stop();

 private:
  struct Worker;
  void run(Worker& worker);

  Env& env_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<bool> stopping_{false};
};

}  // namespace isthmus
