// Files made by an older program are brought forward with all they hold; by a newer one, refused.
#include <sys/wait.h>
#include <unistd.h>

#include "contract/ledger/ledger_fixture.h"
#include "ledger/sqlite/schema.h"
#include "ledger/sqlite/sqlite_ledger.h"

namespace isthmus::test {
namespace {

class LedgerUpgrade : public LedgerTest {
 protected:
  LedgerOptions options(bool read_only = false) {
    LedgerOptions options;
    options.directory = env_.folder() / "ledger";
    options.destinations = {kCloud};
    options.read_only = read_only;
    return options;
  }
  // Today's schema, and one that is to come.
  std::vector<sql::Migration> with_next(std::function<Result<void>(sql::Database&)> then = {}) {
    std::vector<sql::Migration> migrations = ledger_migrations(env_);
    migrations.push_back(
        {"CREATE TABLE next_thing (instance_id TEXT NOT NULL) STRICT;"
         "INSERT INTO next_thing SELECT id FROM instance;",
         std::move(then)});
    return migrations;
  }
  sql::Database raw() {
    return sql::Database::open(env_.folder() / "ledger" / "ledger.sqlite", {.error_area = "test"})
        .value();
  }
};

TEST_F(LedgerUpgrade, AnOlderFileIsBroughtForwardWithAllItHolds) {
  std::vector<DeliveryId> deliveries;
  for (const DeliveryState state : all_delivery_states()) deliveries.push_back(delivery_in(state));
  std::vector<BatchId> batches;
  for (const BatchState state : all_batch_states()) batches.push_back(batch_in(state).batch);
  const auto counts_before = ledger_->counts().value();
  const auto story_before = ledger_->history("1.2.826.1", 10'000)->size();
  close();

  ASSERT_OK_AND_ASSIGN(ledger_, SqliteLedger::open(env_, options(), with_next()));

  const auto counts_after = ledger_->counts().value();
  ASSERT_EQ(counts_after.size(), counts_before.size());
  for (std::size_t i = 0; i < counts_after.size(); ++i) {
    EXPECT_EQ(counts_after[i].state, counts_before[i].state);
    EXPECT_EQ(counts_after[i].count, counts_before[i].count);
  }
  EXPECT_EQ(ledger_->history("1.2.826.1", 10'000)->size(), story_before);
  for (std::size_t i = 0; i < batches.size(); ++i) {
    EXPECT_EQ(batch(batches[i]).state, all_batch_states()[i]);
  }
  EXPECT_THAT(ledger_->record(arrival(1), nullptr), IsOk());
  expect_sound();
  close();
  EXPECT_EQ(raw().schema_version().value(), static_cast<int>(with_next().size()));
  EXPECT_EQ(raw().query_integer("SELECT count(*) FROM next_thing").value(),
            raw().query_integer("SELECT count(*) FROM instance").value().value() - 1);
}

TEST_F(LedgerUpgrade, ANewerFileIsRefusedAndNotTouched) {
  const InstanceId id = receive(1);
  close();
  { ASSERT_THAT(SqliteLedger::open(env_, options(), with_next()), IsOk()); }

  EXPECT_THAT(open_sqlite_ledger(env_, options()),
              FailsWith("ledger.newer_schema", Fate::permanent));
  EXPECT_THAT(open_sqlite_ledger(env_, options(true)),
              FailsWith("ledger.newer_schema", Fate::permanent));

  ASSERT_OK_AND_ASSIGN(ledger_, SqliteLedger::open(env_, options(), with_next()));
  EXPECT_TRUE(ledger_->has_instance(id).value());
}

TEST_F(LedgerUpgrade, ReadingAnOlderFileAsksForTheGatewayToBeStarted) {
  close();

  EXPECT_THAT(SqliteLedger::open(env_, options(true), with_next()),
              FailsWith("ledger.older_schema", Fate::permanent));
}

TEST_F(LedgerUpgrade, DeathInTheMiddleLeavesTheOldVersionAndItsRows) {
  const InstanceId id = receive(1);
  close();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto dying = with_next([](sql::Database&) -> Result<void> { ::_exit(7); });
    ignore(SqliteLedger::open(env_, options(), dying), "dies");
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(WEXITSTATUS(status), 7);

  open();

  EXPECT_TRUE(ledger_->has_instance(id).value());
  close();
  EXPECT_THAT(SqliteLedger::open(env_, options(), with_next()), IsOk());
}

TEST_F(LedgerUpgrade, TheKeyForPatientIdentifiersStays) {
  receive(1);
  close();
  ASSERT_OK_AND_ASSIGN(ledger_, SqliteLedger::open(env_, options(), with_next()));

  const auto same_patient = ledger_->record(arrival(1, 1, "other bytes"), nullptr);

  ASSERT_THAT(same_patient, IsOk());
  EXPECT_FALSE(ledger_->instance(same_patient->id).value()->identity_conflict);
}

}  // namespace
}  // namespace isthmus::test
