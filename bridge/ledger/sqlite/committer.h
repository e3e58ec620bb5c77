// The one thread that writes. Callers hand it a piece of work and wait; pieces that wait at the
// same time become one group: one sync of the bytes they stand for, one transaction, one COMMIT,
// then all are answered. No delay is added to make groups larger: while one group is on its way to
// disk, the next one gathers by itself.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "base/thread.h"
#include "ledger/ledger.h"
#include "ledger/sqlite/rows.h"
#include "sql/sql.h"

namespace isthmus {

// One caller's work. Lives on the caller's stack until it is answered.
struct Commit {
  // Runs in the committer thread inside a transaction; again from the start when the group has to
  // be taken apart, so it must only set what it sets anew.
  std::function<Result<void>(Write&)> body;
  // What must be on disk before the rows.
  Durable* bytes = nullptr;
  // A new arrival: it hardly ever fails, so that it goes without a savepoint of its own.
  bool is_intake = false;
  // Somebody may wait for what it changes.
  bool wakes_steps = true;

  std::optional<Result<void>> answer;  // set once, under the committer's lock
  std::condition_variable answered;
};

class Committer {
 public:
  Committer(Env& env, sql::Database database, std::size_t group_limit);
  ~Committer();

  // Returns when the work is durable, or with the error that kept it from being so: the body's own,
  // "ledger.full", "ledger.io", "ledger.closed", or the transient error of `bytes`.
  Result<void> run(Commit& commit);

  void on_change(std::function<void()> notify);
  // Finishes what is queued. Twice is fine.
  void stop();
  // The ledger turned out to be unreliable (in a read, say): nothing is accepted any more.
  void fail(const Error& error);

 private:
  using Group = std::vector<Commit*>;

  void loop();
  Group next_group();
  void carry_out(const Group& group);
  Result<void> sync_bytes(const Group& group, std::vector<std::optional<Error>>& refused);
  // One transaction for all; answers are left in `results`. An error means that none happened.
  Result<void> commit_together(const Group& group, std::vector<Result<void>>& results);
  Result<void> run_body(Commit& commit, Write& write, bool alone);
  void answer(const Group& group, std::vector<Result<void>> results);
  void checkpoint_when_due();

  Env& env_;
  sql::Database database_;
  const std::size_t group_limit_;
  std::int64_t checkpointed_pages_ = 0;  // length of the log at the last checkpoint

  Gauge& queued_;
  Counter& commits_;
  Counter& committed_calls_;
  Counter& checkpoints_;
  Histogram& commit_seconds_;

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Commit*> queue_;
  bool stopping_ = false;
  std::optional<Error> failed_;

  std::mutex
      notify_mutex_;  // held while calling, so that after on_change() the old one is not running
  std::function<void()> notify_;

  std::mutex join_mutex_;
  Thread thread_;  // last: starts when everything above is there
};

}  // namespace isthmus
