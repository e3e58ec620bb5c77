// Intake and the steps must be as quick with ten million rows as with ten: SQLite's own plan of
// each statement may walk no table and no whole index.
#include <gtest/gtest.h>

#include "ledger/sqlite/schema.h"
#include "ledger/sqlite/statements.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

struct Statement {
  std::string_view name;
  bool may_walk;
  std::string_view text;
};

constexpr bool indexed = false;
constexpr bool walk = true;
constexpr Statement kStatements[] = {
#define ISTHMUS_STATEMENT(name, access, ...) {#name, access, __VA_ARGS__},
#include "ledger/sqlite/statements.def"
#undef ISTHMUS_STATEMENT
};

// Small or made by the statement itself: these are walked because all of them is wanted.
bool is_harmless(std::string_view line) {
  for (const std::string_view harmless :
       {"SCAN state_count", "SCAN found", "SCAN theirs", "SCAN batches", "SCAN subjects",
        "SCAN ripe", "SCAN held", "SCAN v", "SCAN CONSTANT ROW", "SCAN (subquery"}) {
    if (line == harmless || (harmless.ends_with("(subquery") && line.starts_with(harmless))) {
      return true;
    }
  }
  return false;
}

class LedgerPlans : public testing::TestWithParam<Statement> {
 protected:
  void SetUp() override { ASSERT_THAT(sql::migrate(db_, ledger_migrations(env_)), IsOk()); }

  TestEnv env_;
  sql::Database db_ = sql::Database::open_in_memory("test").value();
};

TEST_P(LedgerPlans, AreBackedByAnIndex) {
  ASSERT_OK_AND_ASSIGN(const auto plan, db_.query_plan(GetParam().text));

  bool walks = false;
  std::string all;
  for (const std::string& line : plan) {
    all += line + "\n";
    walks = walks || (line.starts_with("SCAN") && !is_harmless(line));
  }
  EXPECT_EQ(walks, GetParam().may_walk) << all;
}

INSTANTIATE_TEST_SUITE_P(Statements, LedgerPlans, testing::ValuesIn(kStatements),
                         [](const auto& statement) { return std::string(statement.param.name); });

TEST_F(LedgerPlans, ANewInstanceCostsOneLookUpAndAKnownOneTwo) {
  ASSERT_OK_AND_ASSIGN(const auto first, db_.query_plan(statement::first_with_uid));
  ASSERT_OK_AND_ASSIGN(const auto second, db_.query_plan(statement::same_instance));

  EXPECT_THAT(first, testing::ElementsAre("SEARCH instance USING INDEX instance_by_identity "
                                          "(sop_instance_uid=?)"));
  EXPECT_THAT(second, testing::ElementsAre("SEARCH instance USING INDEX instance_by_identity "
                                           "(sop_instance_uid=? AND dataset_digest=?)"));
}

}  // namespace
}  // namespace isthmus::test
