#include "ledger/sqlite/committer.h"

#include <algorithm>
#include <exception>

#include "base/failpoint.h"

namespace isthmus {
namespace {

// 16 MiB of write-ahead log. Larger costs less (pages written often are moved once), smaller keeps
// reading and start-up quick.
constexpr std::int64_t kCheckpointPages = 4096;

Error closed() {
  return transient_error("ledger.closed", "The gateway is stopping; try again when it is back.");
}

}  // namespace

Committer::Committer(Env& env, sql::Database database, std::size_t group_limit)
    : env_(env),
      database_(std::move(database)),
      group_limit_(std::max<std::size_t>(group_limit, 1)),
      queued_(env.metrics.gauge("ledger_queued_calls", "Calls that wait for the ledger's writer.")),
      commits_(env.metrics.counter("ledger_commits_total", "Groups written to the ledger.")),
      committed_calls_(env.metrics.counter("ledger_committed_calls_total",
                                           "Calls answered by the ledger's writer.")),
      checkpoints_(env.metrics.counter("ledger_checkpoints_total",
                                       "Times the log was brought into the database.")),
      commit_seconds_(env.metrics.histogram(
          "ledger_commit_seconds", "How long a group took, the sync of received bytes included.")),
      thread_(env, "ledger", [this] { loop(); }) {}

Committer::~Committer() {
  stop();
}

Result<void> Committer::run(Commit& commit) {
  std::unique_lock lock(mutex_);
  if (failed_) return *failed_;
  if (stopping_) return closed();
  queue_.push_back(&commit);
  queued_.set(static_cast<double>(queue_.size()));
  arrived_.notify_one();
  commit.answered.wait(lock, [&] { return commit.answer.has_value(); });
  return std::move(*commit.answer);
}

void Committer::on_change(std::function<void()> notify) {
  const std::lock_guard lock(notify_mutex_);
  notify_ = std::move(notify);
}

void Committer::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    arrived_.notify_one();
  }
  const std::lock_guard lock(join_mutex_);
  thread_.join();
}

void Committer::fail(const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    if (failed_) return;
    failed_ = error;
  }
  env_.on_fatal(error);
}

void Committer::loop() {
  for (;;) {
    const Group group = next_group();
    if (group.empty()) return;
    try {
      carry_out(group);
      checkpoint_when_due();
    } catch (const std::exception& escaped) {
      // A bug of ours. Nobody may be left waiting for an answer, and nothing more is believed.
      fail(fatal_error("ledger.io", std::string("The committer met a bug: ") + escaped.what()));
      answer(group, std::vector<Result<void>>(
                        group.size(), Result<void>(fatal_error(
                                          "ledger.io", "The committer met a bug; restart."))));
    }
  }
}

Committer::Group Committer::next_group() {
  std::unique_lock lock(mutex_);
  arrived_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
  const auto size = static_cast<std::ptrdiff_t>(std::min(group_limit_, queue_.size()));
  Group group(queue_.begin(), queue_.begin() + size);
  queue_.erase(queue_.begin(), queue_.begin() + size);
  queued_.set(static_cast<double>(queue_.size()));
  return group;
}

void Committer::carry_out(const Group& group) {
  const SteadyTime start = env_.clock.steady_now();
  std::vector<Result<void>> results(group.size());
  {
    const std::lock_guard lock(mutex_);
    if (failed_) std::fill(results.begin(), results.end(), Result<void>(*failed_));
  }
  if (!results.front().ok()) return answer(group, std::move(results));

  std::vector<std::optional<Error>> refused(group.size());
  if (const Result<void> synced = sync_bytes(group, refused); !synced.ok()) {
    fail(synced.error());
    std::fill(results.begin(), results.end(), synced);
    return answer(group, std::move(results));
  }
  // Whoever's bytes are not on disk is out of the group; the others are not concerned.
  Group ready;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (refused[i]) {
      results[i] = *refused[i];
    } else {
      ready.push_back(group[i]);
      places.push_back(i);
    }
  }
  std::vector<Result<void>> done(ready.size());
  Result<void> together = ready.empty() ? Result<void>() : commit_together(ready, done);
  if (!together.ok() && together.error().fate == Fate::permanent && ready.size() > 1) {
    // One of them cannot be stored. Apart, the others can.
    for (std::size_t i = 0; i < ready.size(); ++i) {
      std::vector<Result<void>> alone(1);
      const Result<void> committed = commit_together({ready[i]}, alone);
      done[i] = committed.ok() ? alone.front() : committed;
    }
  } else if (!together.ok()) {
    std::fill(done.begin(), done.end(), together);
  }
  for (const Result<void>& one : done) {
    if (!one.ok() && one.error().fate == Fate::fatal) fail(one.error());
  }
  for (std::size_t i = 0; i < ready.size(); ++i) results[places[i]] = done[i];
  commits_.add();
  committed_calls_.add(static_cast<double>(group.size()));
  commit_seconds_.observe(static_cast<double>((env_.clock.steady_now() - start).count()) / 1000.0);
  answer(group, std::move(results));
}

Result<void> Committer::sync_bytes(const Group& group, std::vector<std::optional<Error>>& refused) {
  // Few distinct ones: a segment, some directories.
  std::vector<std::pair<Durable*, std::optional<Error>>> asked;
  for (std::size_t i = 0; i < group.size(); ++i) {
    Durable* const bytes = group[i]->bytes;
    if (bytes == nullptr) continue;
    auto known = std::find_if(asked.begin(), asked.end(),
                              [&](const auto& one) { return one.first == bytes; });
    if (known == asked.end()) {
      const Result<void> synced = bytes->make_durable();
      // A failed sync must not be repeated: what the kernel dropped stays dropped. Only a full disk
      // says for certain that nothing was lost that anybody relied on.
      if (!synced.ok() && synced.error().fate != Fate::transient) {
        return fatal_error("ledger.io", "Received bytes could not be made durable (" +
                                            synced.error().code +
                                            "); restart, what was promised is on disk.");
      }
      known = asked.insert(asked.end(), {bytes, std::nullopt});
      if (!synced.ok()) known->second = synced.error();
    }
    refused[i] = known->second;
  }
  if (!asked.empty()) FAILPOINT(ledger_group_synced);
  return {};
}

Result<void> Committer::commit_together(const Group& group, std::vector<Result<void>>& results) {
  TRY_ASSIGN(sql::Transaction transaction, sql::Transaction::begin(database_));
  Write write{env_, database_, env_.clock.wall_now()};
  const bool alone = group.size() == 1;
  bool intake = false;
  for (std::size_t i = 0; i < group.size(); ++i) {
    results[i] = run_body(*group[i], write, alone);
    intake = intake || group[i]->is_intake;
    if (results[i].ok()) continue;
    // Disk full and the like have undone the whole transaction; and without a savepoint one part
    // cannot be undone alone.
    const bool whole = results[i].error().fate != Fate::permanent || group[i]->is_intake;
    if (alone || whole) return results[i];
  }
  TRY(transaction.commit());
  if (intake) FAILPOINT(ledger_committed);
  return {};
}

Result<void> Committer::run_body(Commit& commit, Write& write, bool alone) {
  if (alone || commit.is_intake) return commit.body(write);
  TRY_ASSIGN(sql::Savepoint part, sql::Savepoint::begin(database_));
  TRY(commit.body(write));
  return part.release();
}

void Committer::answer(const Group& group, std::vector<Result<void>> results) {
  bool wakes = false;
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < group.size(); ++i) {
      if (group[i]->answer) continue;  // answered before a bug showed
      wakes = wakes || (group[i]->wakes_steps && results[i].ok());
      group[i]->answer = std::move(results[i]);
      // Under the lock: as soon as the caller can see the answer its Commit is gone.
      group[i]->answered.notify_one();
    }
  }
  if (!wakes) return;
  const std::lock_guard lock(notify_mutex_);
  if (notify_) notify_();
}

// A checkpoint of our own, because SQLite's automatic one hides its errors, and a sync that failed
// once would be tried again.
void Committer::checkpoint_when_due() {
  const std::int64_t pages = database_.log_pages();
  // Shorter than it was: the log was begun anew after a whole checkpoint.
  if (pages < checkpointed_pages_) checkpointed_pages_ = 0;
  if (pages < checkpointed_pages_ + kCheckpointPages) return;
  checkpoints_.add();
  const auto checkpoint = database_.checkpoint();
  if (!checkpoint.ok()) {
    if (checkpoint.error().fate == Fate::fatal) fail(checkpoint.error());
    return;
  }
  // A reader that takes its time keeps the log from being begun anew. Trying again at every commit
  // would cost each of them a sync more; so only when it has grown by as much again.
  checkpointed_pages_ = checkpoint->log_pages;
}

}  // namespace isthmus
