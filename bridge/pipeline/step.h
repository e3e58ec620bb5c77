// A pipeline worker: run_once() does one bounded piece of work and says when to call it again.
// Threads, the simulation and tests call the same function. All progress is in the ledger: a step
// may be destroyed at any moment.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/env.h"
#include "imports/import_service.h"
#include "ledger/ledger.h"
#include "pipeline/preflight.h"
#include "spool/spool.h"
#include "storage/object_store.h"

namespace isthmus {

// When run_once() is to be called again, at the latest. A wakeup may come before.
struct NextRun {
  Milliseconds in{0};  // 0: there is more work now
};

class Step {
 public:
  virtual ~Step() = default;
  virtual std::string_view name() const = 0;  // "stager"
  // Errors are about the step's own means (ledger, disk); what happened to one instance or batch is
  // in its row. A fatal error stops the process; after any other the runner waits and calls again.
  virtual Result<NextRun> run_once() = 0;
  // Runs that found nothing more to do are kept this far apart, however many wakeups come: every
  // commit is one, and under load that is hundreds a second.
  virtual Milliseconds spacing() const { return Milliseconds(20); }
};

// A configured target, with its means. References outlive the steps.
struct Destination {
  std::string name;
  std::string object_prefix;  // in its bucket; may be empty
  ObjectStore& store;
  ImportService& service;
};

class Scheduler;  // pipeline/scheduler.h

// full jitter: uniform in [0, min(longest, first * 2^(attempt-1))], at least 50 ms.
struct Backoff {
  Milliseconds first{1'000};
  Milliseconds longest{300'000};
  Milliseconds delay(std::int64_t attempt, Entropy& entropy) const;
};

struct BatcherOptions {
  Milliseconds quiet{10'000};     // seal when nothing joined for this long
  Milliseconds max_age{300'000};  // … or when it is this old
  // Says when starts are scarce, so that small studies share a batch; none: they never do.
  const Scheduler* scheduler = nullptr;
  // Which lane an instance is of; none: everything is routine.
  std::function<Lane(const WaitingDelivery&)> lane_of = {};
};
struct StagerOptions {
  std::size_t uploads = 8;     // at a time
  std::int64_t attempts = 20;  // then quarantine
  Backoff backoff;
  Scheduler* scheduler = nullptr;  // none: one of its own
  Preflight* preflight = nullptr;  // none: off
  PreflightMode preflight_mode = PreflightMode::off;
};
struct SubmitterOptions {
  std::int64_t attempts = 10;  // failed starts or failed jobs of one batch, then it is stuck
  Backoff backoff;
  Scheduler* scheduler = nullptr;  // none: one of its own
};
struct WatcherOptions {
  Milliseconds first_poll{1'000};
  Milliseconds longest_poll{60'000};  // the interval doubles up to this
  std::int64_t attempts = 10;         // as SubmitterOptions: set both from one setting
  Backoff backoff;
  Scheduler* scheduler = nullptr;  // none: one of its own
};
struct ReconcilerOptions {
  std::int64_t attempts =
      5;  // imports of one instance that did not account for it, then quarantine
  Milliseconds output_patience{600'000};  // how long a late manifest is waited for
  Backoff backoff;
};
struct SweeperOptions {
  Milliseconds spool_retention{24 * 3'600'000};  // bytes are kept this long after the last import
  Milliseconds object_retention{0};              // staged objects, after the batch ended
  Milliseconds interval{60'000};
};

std::unique_ptr<Step> make_batcher(Env& env, Ledger& ledger, Destination& destination,
                                   BatcherOptions options);
std::unique_ptr<Step> make_stager(Env& env, Ledger& ledger, Spool& spool, Destination& destination,
                                  StagerOptions options);
std::unique_ptr<Step> make_submitter(Env& env, Ledger& ledger, Destination& destination,
                                     SubmitterOptions options);
std::unique_ptr<Step> make_watcher(Env& env, Ledger& ledger, Destination& destination,
                                   WatcherOptions options);
std::unique_ptr<Step> make_reconciler(Env& env, Ledger& ledger, Destination& destination,
                                      ReconcilerOptions options);
// One for the spool and all destinations.
std::unique_ptr<Step> make_sweeper(Env& env, Ledger& ledger, Spool& spool,
                                   std::vector<Destination*> destinations, SweeperOptions options);

}  // namespace isthmus
