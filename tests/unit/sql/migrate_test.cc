// Schemas go forward, one whole step at a time, whatever kills the process in between.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sql/sql.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::sql {
namespace {

using test::FailsWith;
using test::IsOk;

std::vector<Migration> two_steps() {
  return {{"CREATE TABLE t (x INTEGER) STRICT; INSERT INTO t VALUES (1);", {}},
          {"ALTER TABLE t ADD COLUMN y TEXT NOT NULL DEFAULT 'old';",
           [](Database& database) -> Result<void> {
             TRY(database.run("INSERT INTO t VALUES (?, ?)", {2, "new"}));
             return {};
           }}};
}

class Migrate : public testing::Test {
 protected:
  Database open() {
    auto database = Database::open(env_.folder() / "db", {.error_area = "test"});
    EXPECT_THAT(database, IsOk());
    return std::move(database).value();
  }

  test::TestEnv env_;
};

TEST_F(Migrate, AnOlderFileIsBroughtForwardAndKeepsItsRows) {
  const std::vector<Migration> all = two_steps();
  {
    Database database = open();
    ASSERT_THAT(migrate(database, std::span(all).first(1)), IsOk());
    EXPECT_EQ(database.schema_version().value(), 1);
  }

  Database database = open();
  ASSERT_THAT(migrate(database, all), IsOk());

  EXPECT_EQ(database.schema_version().value(), 2);
  EXPECT_EQ(database.query_text("SELECT y FROM t WHERE x = 1").value(), "old");
  EXPECT_EQ(database.query_text("SELECT y FROM t WHERE x = 2").value(), "new");
}

TEST_F(Migrate, DoesNothingTheSecondTime) {
  const std::vector<Migration> all = two_steps();
  Database database = open();
  ASSERT_THAT(migrate(database, all), IsOk());

  ASSERT_THAT(migrate(database, all), IsOk());

  EXPECT_EQ(database.query_integer("SELECT count(*) FROM t").value(), 2);
}

TEST_F(Migrate, ANewerFileIsRefusedUntouched) {
  const std::vector<Migration> all = two_steps();
  Database database = open();
  ASSERT_THAT(migrate(database, all), IsOk());

  EXPECT_THAT(migrate(database, std::span(all).first(1)),
              FailsWith("test.newer_schema", Fate::permanent));

  EXPECT_EQ(database.schema_version().value(), 2);
}

TEST_F(Migrate, AStepThatFailsLeavesTheOldVersion) {
  std::vector<Migration> all = two_steps();
  all[1].script += "INSERT INTO no_such_table VALUES (1);";
  Database database = open();

  EXPECT_THAT(migrate(database, all), FailsWith("test.io"));

  EXPECT_EQ(database.schema_version().value(), 1);
  EXPECT_THAT(database.run("SELECT y FROM t"), FailsWith("test.io"));
}

TEST_F(Migrate, DeathInTheMiddleOfAStepLeavesTheOldVersion) {
  std::vector<Migration> all = two_steps();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    all[1].then = [](Database&) -> Result<void> { ::_exit(7); };
    Database database = open();
    ignore(migrate(database, all), "ends in the middle");
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(WEXITSTATUS(status), 7);

  Database database = open();

  EXPECT_EQ(database.schema_version().value(), 1);
  EXPECT_THAT(migrate(database, two_steps()), IsOk());
  EXPECT_EQ(database.query_integer("SELECT count(*) FROM t").value(), 2);
}

}  // namespace
}  // namespace isthmus::sql
