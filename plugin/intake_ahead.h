// Instances taken while Orthanc still stores them.
//
// Orthanc calls back with one stored instance at a time, under a lock of its own
// (storedCallbackMutex_ in OrthancPlugins.cpp, 1.10.1): a sync within that callback is shared with
// nobody, and all associations wait for it. So the work begins when Orthanc asks whether the
// instance is wanted, in the same thread and with the same bytes: they are copied into the spool's
// memory (spool.buffer_bytes), and workers of ours look at them, digest and sync them
// (IncomingInstance::secure) while Orthanc writes its own file. The stored-instance callback waits
// for the rest of that, and makes it a promise. What Orthanc does not store after all is withdrawn,
// and never was ours (decision 0017).
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/thread.h"
#include "intake/instance_intake.h"
#include "senders/senders.h"

namespace isthmus::plugin {

struct AheadOptions {
  std::size_t workers = 8;
  // Longer ones are taken in the callback; what they cost is not the sync. So are those that the
  // spool has no memory for, and all of them when it keeps files.
  std::uint64_t most_bytes = 4 * MiB;
  // Orthanc has refused what it has not stored after this long, or is slow: then it is taken in the
  // callback. Rows of others wait meanwhile.
  Milliseconds patience{10'000};
};

// Metrics: orthanc_ahead_total{result}: taken, withdrawn.
class IntakeAhead {
 public:
  // References must outlive it.
  IntakeAhead(Env& env, Spool& spool, const Senders& senders, AheadOptions options);
  ~IntakeAhead() { stop(); }

  // What this thread began before and did not conclude is withdrawn: Orthanc has not stored it.
  void forget();
  // In the thread that stores it, before Orthanc does: never blocks, but for copying the bytes.
  // Forgets, too.
  void begin(ByteSpan file, std::string calling_ae_title);
  // In the same thread: Orthanc has stored it. Nothing when it was not begun (any more): then it is
  // still to be taken. Else as take_file(), and "orthanc.ahead_slow" (transient): withdrawn after
  // waiting as long as patience.
  std::optional<Result<Receipt>> conclude(ByteSpan file, const Origin& origin);
  // Withdraws what Orthanc should have stored by now. Any thread; one of ours does it as well.
  void withdraw_overdue();
  // Withdraws what was not concluded. Synchronous, safe twice.
  void stop();

 private:
  // Shared between the thread that stores and the worker: nobody knows who is last.
  struct Pending;
  using PendingPtr = std::shared_ptr<Pending>;

  void secure(Pending& pending);
  void withdraw(const PendingPtr& pending);
  // All of which this is true.
  template <typename Condition>
  void withdraw_if(const Condition& condition);

  Env& env_;
  Spool& spool_;
  const Senders& senders_;
  const AheadOptions options_;
  Counter& taken_;
  Counter& withdrawn_;

  std::mutex mutex_;
  std::condition_variable done_;
  std::map<std::thread::id, PendingPtr> pending_;
  bool stopped_ = false;
  WorkerPool workers_;
  Wakeup ending_;
  Thread keeper_;
};

}  // namespace isthmus::plugin
