// What is done from time to time and for nobody in particular: uploads that nobody goes on with
// end, and their space is free.
#pragma once

#include <atomic>

#include "base/env.h"
#include "base/thread.h"
#include "datastore/engine/objects.h"

namespace isthmus::datastore {

// Any thread.
class Upkeep {
 public:
  // `upload_life`: Objects::end_abandoned_uploads().
  Upkeep(Env& env, Objects& objects, Milliseconds upload_life)
      : env_(env), objects_(objects), upload_life_(upload_life) {}
  ~Upkeep() { stop(); }

  // At once, and then every ten minutes.
  void start();
  // Safe twice and before start().
  void stop();
  Result<void> run_once();

 private:
  void work();

  Env& env_;
  Objects& objects_;
  const Milliseconds upload_life_;
  std::atomic<bool> stopping_{false};
  Wakeup wakeup_;
  Thread thread_;
};

}  // namespace isthmus::datastore
