// The catalogue: the SQLite database that says what the data store holds. One thread writes;
// callers that write at the same time share one commit, so that the sync of the log is paid once
// for all.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <vector>

#include "base/env.h"
#include "base/thread.h"
#include "sql/lock_file.h"
#include "sql/sql.h"

namespace isthmus::datastore {

// Errors: those of sql with the area "datastore". Any thread, many at once.
class Catalogue {
 public:
  using Change = std::function<Result<void>(sql::Database&)>;

  // `directory`/catalogue.sqlite, brought to the newest schema; `directory`/catalogue.lock is held.
  // "datastore.locked" (permanent) when another process has it.
  static Result<std::unique_ptr<Catalogue>> open(Env& env, const FileSystem::Path& directory);
  // Changes handed in before are carried out first.
  ~Catalogue();

  // Carries `change` out in the writing thread, in a transaction. When it returns a value, that is
  // durable; when it returns an error, nothing of this change happened. It is called once, and must
  // not wait for anything.
  template <typename Body>
  auto write(Body&& body) -> std::invoke_result_t<Body&, sql::Database&>;
  // Lets `body` look at one consistent state.
  template <typename Body>
  auto read(Body&& body) -> std::invoke_result_t<Body&, sql::Database&>;

 private:
  struct Waiting {
    const Change* change = nullptr;
    std::optional<Result<void>> outcome;
  };

  Catalogue(Env& env, FileSystem::Path file, sql::LockFile lock, sql::Database writer);
  Result<void> carry_out(const Change& change);
  void work();
  void commit_group(std::vector<Waiting*>& group);
  void checkpoint_when_due();
  void report_fatal(const Result<void>& outcome);
  Result<void> look(const Change& body);
  Result<std::unique_ptr<sql::Database>> lease_reader();

  Env& env_;
  const FileSystem::Path file_;
  sql::LockFile lock_;
  sql::Database writer_;  // of the writing thread alone
  std::mutex mutex_;
  std::condition_variable arrived_, done_;
  std::deque<Waiting*> queue_;
  bool closing_ = false;
  std::vector<std::unique_ptr<sql::Database>> readers_;  // at rest
  Thread thread_;                                        // last: it uses everything above
};

namespace detail {
// Calls `run` with a Change that keeps what `body` gives.
template <typename Body, typename Run>
auto keeping_value(Body& body, Run&& run) -> std::invoke_result_t<Body&, sql::Database&> {
  using Returned = std::invoke_result_t<Body&, sql::Database&>;
  if constexpr (std::is_same_v<Returned, Result<void>>) {
    return run([&body](sql::Database& database) { return body(database); });
  } else {
    std::optional<typename Returned::value_type> kept;
    TRY(run([&](sql::Database& database) -> Result<void> {
      TRY_ASSIGN(kept, body(database));
      return {};
    }));
    return std::move(*kept);
  }
}
}  // namespace detail

template <typename Body>
auto Catalogue::write(Body&& body) -> std::invoke_result_t<Body&, sql::Database&> {
  return detail::keeping_value(body, [this](const Change& change) { return carry_out(change); });
}

template <typename Body>
auto Catalogue::read(Body&& body) -> std::invoke_result_t<Body&, sql::Database&> {
  return detail::keeping_value(body, [this](const Change& change) { return look(change); });
}

}  // namespace isthmus::datastore
