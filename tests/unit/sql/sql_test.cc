#include "sql/sql.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/ids.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::sql {
namespace {

using test::FailsWith;
using test::IsOk;

Database memory() {
  auto database = Database::open_in_memory("test");
  EXPECT_THAT(database, IsOk());
  return std::move(database).value();
}

TEST(Sql, GivesBackWhatWasBoundOfEveryType) {
  Database database = memory();
  ASSERT_THAT(
      database.execute("CREATE TABLE t (i INTEGER, r REAL, s TEXT, b BLOB, n TEXT, d INTEGER,"
                       "u TEXT, h TEXT, y INTEGER) STRICT"),
      IsOk());
  const auto uid = Uid::parse("1.2.3");
  const WallTime time(Milliseconds(1'700'000'000'123));
  const std::string with_nul("a\0b", 3);
  const Bytes bytes{std::byte{0}, std::byte{255}};
  const Digest digest = sha256("x");

  ASSERT_THAT(database.run("INSERT INTO t VALUES (?,?,?,?,?,?,?,?,?)",
                           {std::uint64_t{1} << 40, 0.5, with_nul, bytes, std::nullopt, time, uid,
                            digest, true}),
              IsOk());
  ASSERT_OK_AND_ASSIGN(Statement row, database.query("SELECT * FROM t"));
  ASSERT_OK_AND_ASSIGN(const bool found, row.next());

  ASSERT_TRUE(found);
  Columns columns = row.columns();
  EXPECT_EQ(columns.unsigned_integer(), std::uint64_t{1} << 40);
  EXPECT_EQ(columns.real(), 0.5);
  EXPECT_EQ(columns.text(), with_nul);
  EXPECT_EQ(columns.blob(), bytes);
  EXPECT_EQ(columns.optional_text(), std::nullopt);
  EXPECT_EQ(columns.optional_time(), time);
  EXPECT_EQ(columns.text(), "1.2.3");
  EXPECT_EQ(columns.text(), digest.hex());
  EXPECT_EQ(columns.optional_boolean(), true);
}

TEST(Sql, TellsEmptyFromNull) {
  Database database = memory();

  ASSERT_OK_AND_ASSIGN(Statement row,
                       database.query("SELECT ?, ?, ?", {"", ByteSpan(), std::optional<Uid>()}));
  ASSERT_THAT(row.next(), IsOk());

  EXPECT_FALSE(row.is_null(0));
  EXPECT_FALSE(row.is_null(1));
  EXPECT_TRUE(row.is_null(2));
}

TEST(Sql, CountsChangedRowsOfThisStatementOnly) {
  Database database = memory();
  ASSERT_THAT(database.execute("CREATE TABLE t (x INTEGER); INSERT INTO t VALUES (1),(2),(3);"),
              IsOk());

  EXPECT_EQ(database.run("UPDATE t SET x = x + 1 WHERE x > ?", {1}).value(), 2);
  EXPECT_EQ(database.run("UPDATE t SET x = 0 WHERE x = ?", {99}).value(), 0);
  EXPECT_EQ(database.run("CREATE TABLE other (x INTEGER)").value(), 0);
}

TEST(Sql, OneTextCanBeSteppedByTwoAtATime) {
  Database database = memory();
  ASSERT_THAT(database.execute("CREATE TABLE t (x INTEGER); INSERT INTO t VALUES (1),(2);"),
              IsOk());
  constexpr std::string_view kText = "SELECT x FROM t ORDER BY x";

  ASSERT_OK_AND_ASSIGN(Statement outer, database.query(kText));
  ASSERT_THAT(outer.next(), IsOk());
  ASSERT_OK_AND_ASSIGN(Statement inner, database.query(kText));
  ASSERT_THAT(inner.next(), IsOk());
  ASSERT_THAT(inner.next(), IsOk());

  EXPECT_EQ(outer.integer(0), 1);
  EXPECT_EQ(inner.integer(0), 2);
}

TEST(Sql, AConstraintIsPermanentAndNamesNoValue) {
  Database database = memory();
  ASSERT_THAT(database.execute("CREATE TABLE t (x TEXT UNIQUE) STRICT"), IsOk());
  ASSERT_THAT(database.run("INSERT INTO t VALUES (?)", {"PRIVATE^NAME"}), IsOk());

  const auto again = database.run("INSERT INTO t VALUES (?)", {"PRIVATE^NAME"});

  EXPECT_THAT(again, FailsWith("test.constraint", Fate::permanent));
  EXPECT_EQ(again.error().message.find("PRIVATE"), std::string::npos);
}

TEST(Sql, AFullDiskIsTransientAndLeavesNothing) {
  const test::TestEnv env;
  ASSERT_OK_AND_ASSIGN(Database database,
                       Database::open(env.folder() / "db", {.error_area = "test"}));
  ASSERT_THAT(database.execute("CREATE TABLE t (x BLOB); PRAGMA max_page_count=20;"), IsOk());

  ASSERT_OK_AND_ASSIGN(Transaction transaction, Transaction::begin(database));
  ASSERT_THAT(database.run("INSERT INTO t VALUES (zeroblob(100))"), IsOk());
  const auto too_much = database.run("INSERT INTO t VALUES (zeroblob(1000000))");

  EXPECT_THAT(too_much, FailsWith("test.full", Fate::transient));
  { const Transaction given_up = std::move(transaction); }
  EXPECT_EQ(database.query_integer("SELECT count(*) FROM t").value(), 0);
}

TEST(Sql, SomethingThatIsNoDatabaseIsFatal) {
  const test::TestEnv env;
  std::ofstream(env.folder() / "db") << std::string(8192, 'x');

  EXPECT_THAT(Database::open(env.folder() / "db", {.error_area = "test"}),
              FailsWith("test.io", Fate::fatal));
}

TEST(Sql, AWrongStatementIsFatal) {
  Database database = memory();

  EXPECT_THAT(database.run("SELECT nonsense"), FailsWith("test.io", Fate::fatal));
}

TEST(Sql, AWriterThatWaitsTooLongIsToldBusy) {
  const test::TestEnv env;
  const OpenOptions options{.error_area = "test", .busy_timeout = Milliseconds(1)};
  ASSERT_OK_AND_ASSIGN(Database first, Database::open(env.folder() / "db", options));
  ASSERT_OK_AND_ASSIGN(Database second, Database::open(env.folder() / "db", options));

  ASSERT_OK_AND_ASSIGN(const Transaction held, Transaction::begin(first));

  EXPECT_THAT(Transaction::begin(second), FailsWith("test.busy", Fate::transient));
}

TEST(Sql, ATransactionWithoutCommitLeavesNothing) {
  Database database = memory();
  ASSERT_THAT(database.execute("CREATE TABLE t (x INTEGER)"), IsOk());

  {
    ASSERT_OK_AND_ASSIGN(const Transaction given_up, Transaction::begin(database));
    ASSERT_THAT(database.run("INSERT INTO t VALUES (1)"), IsOk());
  }
  ASSERT_OK_AND_ASSIGN(Transaction kept, Transaction::begin(database));
  ASSERT_THAT(database.run("INSERT INTO t VALUES (2)"), IsOk());
  ASSERT_THAT(kept.commit(), IsOk());

  EXPECT_EQ(database.query_integer("SELECT sum(x) FROM t").value(), 2);
}

TEST(Sql, ASavepointFailsAlone) {
  Database database = memory();
  ASSERT_THAT(database.execute("CREATE TABLE t (x INTEGER)"), IsOk());

  ASSERT_OK_AND_ASSIGN(Transaction whole, Transaction::begin(database));
  {
    ASSERT_OK_AND_ASSIGN(const Savepoint given_up, Savepoint::begin(database));
    ASSERT_THAT(database.run("INSERT INTO t VALUES (1)"), IsOk());
  }
  {
    ASSERT_OK_AND_ASSIGN(Savepoint kept, Savepoint::begin(database));
    ASSERT_THAT(database.run("INSERT INTO t VALUES (2)"), IsOk());
    ASSERT_THAT(kept.release(), IsOk());
  }
  ASSERT_THAT(whole.commit(), IsOk());

  EXPECT_EQ(database.query_integer("SELECT sum(x) FROM t").value(), 2);
}

TEST(Sql, AReaderSeesWhatWasCommittedAndCannotWrite) {
  const test::TestEnv env;
  ASSERT_OK_AND_ASSIGN(Database writer,
                       Database::open(env.folder() / "db", {.error_area = "test"}));
  ASSERT_THAT(writer.execute("CREATE TABLE t (x INTEGER)"), IsOk());
  ASSERT_OK_AND_ASSIGN(Database reader, Database::open(env.folder() / "db",
                                                       {.error_area = "test", .read_only = true}));

  ASSERT_OK_AND_ASSIGN(Transaction transaction, Transaction::begin(writer));
  ASSERT_THAT(writer.run("INSERT INTO t VALUES (1)"), IsOk());
  EXPECT_EQ(reader.query_integer("SELECT count(*) FROM t").value(), 0);
  ASSERT_THAT(transaction.commit(), IsOk());
  EXPECT_EQ(reader.query_integer("SELECT count(*) FROM t").value(), 1);

  EXPECT_THAT(reader.run("INSERT INTO t VALUES (2)"), FailsWith("test.io"));
}

TEST(Sql, AReaderOfAMissingFileFails) {
  const test::TestEnv env;

  EXPECT_THAT(Database::open(env.folder() / "none", {.error_area = "test", .read_only = true}),
              FailsWith("test.io"));
}

TEST(Sql, SyncsEveryCommitAndChecksForeignKeys) {
  const test::TestEnv env;
  ASSERT_OK_AND_ASSIGN(Database database,
                       Database::open(env.folder() / "db", {.error_area = "test"}));

  EXPECT_EQ(database.query_integer("PRAGMA synchronous").value(), 2);
  EXPECT_EQ(database.query_integer("PRAGMA foreign_keys").value(), 1);
  EXPECT_EQ(database.query_text("PRAGMA journal_mode").value(), "wal");
}

TEST(Sql, TheLogGrowsUntilItIsCheckpointed) {
  const test::TestEnv env;
  ASSERT_OK_AND_ASSIGN(Database database,
                       Database::open(env.folder() / "db", {.error_area = "test"}));
  ASSERT_THAT(database.execute("CREATE TABLE t (x BLOB)"), IsOk());
  for (int i = 0; i < 3000; ++i) {
    ASSERT_THAT(database.run("INSERT INTO t VALUES (zeroblob(4000))"), IsOk());
  }
  EXPECT_GT(database.log_pages(), 3000);  // SQLite's own checkpoint would have come at 1000

  ASSERT_OK_AND_ASSIGN(const CheckpointResult result, database.checkpoint());

  EXPECT_GT(result.log_pages, 3000);
  EXPECT_EQ(result.moved_pages, result.log_pages);
  ASSERT_THAT(database.run("INSERT INTO t VALUES (1)"), IsOk());
  EXPECT_LT(database.log_pages(), 100);
}

}  // namespace
}  // namespace isthmus::sql
