// The committer under what the disk and our own bugs can do to it.
#include "ledger/sqlite/committer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

using testing::SizeIs;

class CommitterTest : public testing::Test {
 protected:
  sql::Database open() {
    return sql::Database::open(env_.folder() / "db", {.error_area = "ledger"}).value();
  }
  void start(std::string_view prepare = "") {
    sql::Database database = open();
    ASSERT_THAT(database.execute("CREATE TABLE t (x BLOB)"), IsOk());
    ASSERT_THAT(database.execute(prepare), IsOk());
    committer_ = std::make_unique<Committer>(env_, std::move(database), 64);
  }
  static std::function<Result<void>(Write&)> insert(std::int64_t size_bytes) {
    return [size_bytes](Write& write) -> Result<void> {
      TRY(write.db.run("INSERT INTO t VALUES (zeroblob(?))", {size_bytes}));
      return {};
    };
  }
  Result<void> run(std::function<Result<void>(Write&)> body) {
    Commit commit;
    commit.body = std::move(body);
    return committer_->run(commit);
  }
  std::int64_t rows() { return open().query_integer("SELECT count(*) FROM t").value().value(); }
  // Both bodies in one group: the committer is held until both are queued.
  std::pair<Result<void>, Result<void>> run_both(std::function<Result<void>(Write&)> left,
                                                 std::function<Result<void>(Write&)> right) {
    Gauge& queued = env_.metrics->gauge("ledger_queued_calls", "");
    std::atomic<bool> held{false};
    std::pair<Result<void>, Result<void>> results;
    Thread gate(env_, "gate", [&] {
      EXPECT_THAT(run([&](Write&) -> Result<void> {
                    held = true;
                    held.notify_all();
                    while (queued.value() < 2) std::this_thread::yield();
                    return {};
                  }),
                  IsOk());
    });
    held.wait(false);
    Thread first(env_, "left", [&] { results.first = run(left); });
    Thread second(env_, "right", [&] { results.second = run(right); });
    gate.join();
    first.join();
    second.join();
    return results;
  }

  TestEnv env_;
  std::unique_ptr<Committer> committer_;
};

TEST_F(CommitterTest, AFullDatabaseRefusesTheWholeGroupForNow) {
  start("PRAGMA max_page_count=50");

  const auto results = run_both(insert(10), insert(10'000'000));

  EXPECT_THAT(results.first, FailsWith("ledger.full", Fate::transient));
  EXPECT_THAT(results.second, FailsWith("ledger.full", Fate::transient));
  EXPECT_EQ(rows(), 0);
  EXPECT_THAT(run(insert(10)), IsOk());
  EXPECT_EQ(rows(), 1);
  EXPECT_THAT(env_.fatals(), SizeIs(0));
}

TEST_F(CommitterTest, ARefusedPartIsUndoneAlone) {
  start();

  const auto results = run_both(insert(10), [](Write& write) -> Result<void> {
    TRY(write.db.run("INSERT INTO t VALUES (1)"));
    return permanent_error("ledger.no_transition", "Refused after a first row.");
  });

  EXPECT_THAT(results.first, IsOk());
  EXPECT_THAT(results.second, FailsWith("ledger.no_transition"));
  EXPECT_EQ(rows(), 1);
}

TEST_F(CommitterTest, AfterAFatalErrorNothingIsAccepted) {
  start();

  const auto broken = [](Write& write) -> Result<void> {
    TRY(write.db.run("SELECT nonsense"));
    return {};
  };
  EXPECT_THAT(run(broken), FailsWith("ledger.io", Fate::fatal));

  EXPECT_THAT(run(insert(10)), FailsWith("ledger.io", Fate::fatal));
  EXPECT_THAT(env_.fatals(), SizeIs(1));
  EXPECT_EQ(rows(), 0);
}

TEST_F(CommitterTest, ABugInABodyIsFatalAndLeavesNobodyWaiting) {
  start();

  const auto results =
      run_both(insert(10), [](Write&) -> Result<void> { throw std::runtime_error("a bug"); });

  EXPECT_THAT(results.first, FailsWith("ledger.io", Fate::fatal));
  EXPECT_THAT(results.second, FailsWith("ledger.io", Fate::fatal));
  EXPECT_THAT(env_.fatals(), SizeIs(1));
  EXPECT_EQ(rows(), 0);
  committer_->stop();
}

TEST_F(CommitterTest, ASlowReaderDoesNotMakeEveryCommitPayForACheckpoint) {
  start();
  sql::Database reader =
      sql::Database::open(env_.folder() / "db", {.error_area = "test", .read_only = true}).value();
  const auto view = sql::Transaction::begin_read(reader);
  ASSERT_THAT(reader.query_integer("SELECT count(*) FROM t"), IsOk());

  for (int i = 0; i < 24; ++i) ASSERT_THAT(run(insert(2'000'000)), IsOk());

  // 24 commits of 2 MB are about 12 000 pages: a checkpoint each 4096 pages.
  EXPECT_LE(env_.metrics->counter("ledger_checkpoints_total", "").value(), 3);
  EXPECT_GE(env_.metrics->counter("ledger_checkpoints_total", "").value(), 2);
}

}  // namespace
}  // namespace isthmus::test
