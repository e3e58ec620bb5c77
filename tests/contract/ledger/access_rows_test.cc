// What AccessRows promises, on SQLite and on the fake that others' tests stand on.
#include "ledger/access_rows.h"

#include <gmock/gmock.h>

#include "ledger/ledger.h"
#include "sql/sql.h"
#include "support/matchers.h"
#include "support/memory_ledger.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;

enum class Kind { sqlite, memory };

class AccessRowsContract : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override { open(); }
  void open() {
    ledger_.reset();
    if (GetParam() == Kind::memory) {
      ledger_ = std::make_unique<MemoryLedger>(env_, std::vector<std::string>{"cloud"});
    } else {
      ledger_ = open_sqlite_ledger(
                    env_, {.directory = env_.folder() / "ledger", .destinations = {"cloud"}})
                    .value();
    }
  }
  AccessRows& rows() { return ledger_->access_rows(); }
  WallTime at(std::int64_t seconds) const {
    return env_.clock.wall_now() + Milliseconds(1000 * seconds);
  }
  TokenRow token(char digit, std::string name) const {
    return {std::string(16, digit),
            std::move(name),
            std::string(64, digit),
            "read operate",
            at(digit),
            {},
            {}};
  }
  AuditEntry entry(const std::string& action) const {
    return {0, at(0), std::string(32, 'c'), "desk", "token", "10.0.0.1", action, "1.2.3", 200};
  }

  TestEnv env_;
  std::unique_ptr<Ledger> ledger_;
};

TEST_P(AccessRowsContract, KeepsTokensByIdInOrderOfCreation) {
  TokenRow dated = token('b', "later");
  dated.expires_at = at(1000);
  ASSERT_THAT(rows().add_token(token('a', "desk")), IsOk());
  ASSERT_THAT(rows().add_token(dated), IsOk());

  ASSERT_OK_AND_ASSIGN(const auto known, rows().tokens());

  ASSERT_EQ(known.size(), 2u);
  EXPECT_EQ(known[0].name, "desk");
  EXPECT_EQ(known[0].digest, std::string(64, 'a'));
  EXPECT_EQ(known[0].scopes, "read operate");
  EXPECT_EQ(known[0].expires_at, std::nullopt);
  EXPECT_EQ(known[1].expires_at, at(1000));
}

TEST_P(AccessRowsContract, RevokesByIdOrNameOnce) {
  ASSERT_THAT(rows().add_token(token('a', "desk")), IsOk());
  ASSERT_THAT(rows().add_token(token('b', "bench")), IsOk());

  EXPECT_EQ(rows().revoke_token("desk", at(5)).value(), true);
  EXPECT_EQ(rows().revoke_token("desk", at(6)).value(), false);
  EXPECT_EQ(rows().revoke_token(std::string(16, 'b'), at(7)).value(), true);
  EXPECT_EQ(rows().revoke_token("nobody", at(8)).value(), false);

  ASSERT_OK_AND_ASSIGN(const auto known, rows().tokens());
  EXPECT_THAT(
      known, ElementsAre(Field(&TokenRow::revoked_at, at(5)), Field(&TokenRow::revoked_at, at(7))));
}

TEST_P(AccessRowsContract, ANameIsOfOneTokenInForce) {
  ASSERT_THAT(rows().add_token(token('a', "desk")), IsOk());
  EXPECT_THAT(rows().add_token(token('b', "desk")), FailsWith("ledger.constraint"));
  EXPECT_THAT(rows().add_token(token('a', "other")), FailsWith("ledger.constraint"));
  ASSERT_THAT(rows().revoke_token("desk", at(1)), IsOk());

  EXPECT_THAT(rows().add_token(token('b', "desk")), IsOk());
}

TEST_P(AccessRowsContract, TheAuditLogIsReadFromItsEnd) {
  for (const char* action : {"first", "second", "third"}) {
    ASSERT_THAT(rows().append(entry(action)), IsOk());
  }

  ASSERT_OK_AND_ASSIGN(const auto newest, rows().audit(0, 2));
  ASSERT_EQ(newest.size(), 2u);
  ASSERT_OK_AND_ASSIGN(const auto rest, rows().audit(newest.back().seq, 10));

  EXPECT_EQ(newest[0].action, "third");
  EXPECT_EQ(newest[1].action, "second");
  EXPECT_EQ(newest[1].subject, "1.2.3");
  EXPECT_EQ(newest[1].status, 200);
  EXPECT_THAT(rest, ElementsAre(Field(&AuditEntry::action, "first")));
  EXPECT_THAT(rows().audit(rest[0].seq, 10).value(), IsEmpty());
}

TEST_P(AccessRowsContract, ADestinationIsPausedUntilItIsResumed) {
  ASSERT_THAT(rows().pause_destination("main"), IsOk());
  ASSERT_THAT(rows().pause_destination("main"), IsOk());
  ASSERT_THAT(rows().pause_destination("cloud"), IsOk());
  EXPECT_THAT(rows().paused_destinations().value(), ElementsAre("cloud", "main"));
  if (GetParam() == Kind::sqlite) open();
  EXPECT_THAT(rows().paused_destinations().value(), ElementsAre("cloud", "main"));

  ASSERT_THAT(rows().resume_destination("main"), IsOk());
  ASSERT_THAT(rows().resume_destination("main"), IsOk());

  EXPECT_THAT(rows().paused_destinations().value(), ElementsAre("cloud"));
}

INSTANTIATE_TEST_SUITE_P(Kinds, AccessRowsContract, testing::Values(Kind::sqlite, Kind::memory),
                         [](const auto& kind) {
                           return kind.param == Kind::sqlite ? "sqlite" : "memory";
                         });

// What the file itself refuses, whoever writes to it.
TEST(AccessRowsOnDisk, NothingRewritesTheAuditLogOrBringsATokenBack) {
  TestEnv env;
  const auto ledger =
      open_sqlite_ledger(env, {.directory = env.folder() / "ledger", .destinations = {"cloud"}});
  ASSERT_THAT(ledger, IsOk());
  AccessRows& rows = (*ledger)->access_rows();
  ASSERT_THAT(rows.append({0, {}, std::string(32, 'c'), "a", "token", "", "x", "", 0}), IsOk());
  ASSERT_THAT(
      rows.add_token({std::string(16, 'a'), "desk", std::string(64, 'a'), "read", {}, {}, {}}),
      IsOk());
  ASSERT_THAT(rows.revoke_token("desk", {}), IsOk());
  auto db = sql::Database::open(env.folder() / "ledger" / "ledger.sqlite", {.error_area = "test"});
  ASSERT_THAT(db, IsOk());

  for (const char* change :
       {"UPDATE audit SET status = 200", "DELETE FROM audit", "DELETE FROM token",
        "UPDATE token SET revoked_at = NULL", "UPDATE token SET scopes = 'admin'"}) {
    EXPECT_THAT(db->run(change), FailsWith("test.constraint")) << change;
  }
}

}  // namespace
}  // namespace isthmus::test
