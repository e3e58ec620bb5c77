// The schema by itself: version 1 stays as it was released, and SQL refuses what the tables of
// model/transitions.h do not have, whoever writes.
#include "ledger/sqlite/schema.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "ledger/sqlite/access_schema.h"
#include "ledger/sqlite/receiver_rows.h"
#include "ledger/sqlite/sender_schema.h"
#include "ledger/sqlite/update_schema.h"
#include "model/transitions.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

constexpr const char* kInstance = "0000000000000000000000000000000a";
constexpr const char* kBatch = "0000000000000000000000000000000b";

// "schema_v1.sql" beside this file.
std::string golden(std::string_view name) {
  std::ifstream file(source_folder() / "tests/unit/ledger" / name);
  EXPECT_TRUE(file.is_open());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class LedgerSchema : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(sql::migrate(db_, ledger_migrations(env_)), IsOk());
    const std::string digest(64, 'd');
    ASSERT_THAT(db_.run("INSERT INTO instance VALUES (?,'1','1.2','1.3','1.4',?,'CT','','','','',''"
                        ",'1.5',1,0,?,?,'ref',0,NULL,0,NULL,NULL,NULL,'')",
                        {kInstance, digest, digest, digest}),
                IsOk());
    ASSERT_THAT(db_.run("INSERT INTO batch VALUES "
                        "(?,'cloud','','open',0,0,0,0,0,0,0,'','',0,0,0,NULL,NULL,'routine')",
                        {kBatch}),
                IsOk());
  }

  // Puts a row into a state whatever the guards say, as a damaged file would have it.
  void plant(std::string_view table, std::string_view state) {
    const std::string name(table);
    ASSERT_THAT(
        db_.execute("PRAGMA ignore_check_constraints=ON; DROP TRIGGER " + name + "_transition;"),
        IsOk());
    ASSERT_THAT(db_.run("UPDATE " + name + " SET state = ?", {state}), IsOk());
    ASSERT_THAT(db_.execute(trigger_of(table)), IsOk());
  }
  // The text that made a table's guard, from the schema itself.
  std::string trigger_of(std::string_view table) {
    const std::string script = ledger_schema_v1() + ledger_schema_commitments() +
                               ledger_schema_of_updates() + discard_migration();
    const std::string begin = "CREATE TRIGGER " + std::string(table) + "_transition";
    const auto from = script.rfind(begin);
    const auto to = script.find("END;", from);
    return script.substr(from, to + 4 - from);
  }

  template <typename State, typename Event>
  void expect_guarded(std::string_view table, std::span<const State> states,
                      std::span<const Transition<State, Event>> transitions) {
    for (const State from : states) {
      for (const State to : states) {
        if (from == to) continue;
        const bool legal = std::any_of(transitions.begin(), transitions.end(),
                                       [&](const auto& t) { return t.from == from && t.to == to; });
        plant(table, to_string(from));

        const auto changed =
            db_.run("UPDATE " + std::string(table) + " SET state = ?", {to_string(to)});

        if (legal) {
          EXPECT_THAT(changed, IsOk()) << to_string(from) << " > " << to_string(to);
        } else {
          EXPECT_THAT(changed, FailsWith("test.constraint"))
              << to_string(from) << " > " << to_string(to);
        }
      }
    }
  }

  TestEnv env_;
  sql::Database db_ = sql::Database::open_in_memory("test").value();
};

TEST_F(LedgerSchema, VersionOneIsAsItWasReleased) {
  // Files in the field were made by that text. Add a migration instead of changing it; that holds
  // for new states, too: their CHECKs and triggers come into version 1 by model/transitions.h, and
  // a migration must bring them to the files that are out there.
  EXPECT_EQ(
      golden("schema_v1.sql"),
      "-- Made by ledger_schema_v1() (bridge/ledger/sqlite/schema.cc).\n" + ledger_schema_v1());
}

TEST_F(LedgerSchema, TheMigrationToCommitmentsIsAsItWasReleased) {
  EXPECT_EQ(
      golden("schema_commitments.sql"),
      "-- Made by ledger_schema_commitments() (bridge/ledger/sqlite/commitment_schema.cc).\n" +
          ledger_schema_commitments());
}

TEST_F(LedgerSchema, SendersCameAsTheyWereReleased) {
  std::ifstream file(source_folder() / "tests/unit/ledger/schema_senders.sql");
  ASSERT_TRUE(file.is_open());
  std::ostringstream golden;
  golden << file.rdbuf();

  EXPECT_EQ(golden.str(),
            "-- Made by ledger_schema_of_senders() (bridge/ledger/sqlite/sender_schema.cc).\n" +
                ledger_schema_of_senders());
}

TEST_F(LedgerSchema, CallersCameAsTheyWereReleased) {
  EXPECT_EQ(golden("schema_access.sql"),
            "-- Made by ledger_schema_of_access() (bridge/ledger/sqlite/access_schema.cc).\n" +
                ledger_schema_of_access());
}

TEST_F(LedgerSchema, ReceiversCameAsTheyWereReleased) {
  EXPECT_EQ(golden("schema_receivers.sql"),
            "-- Made by ledger_schema_of_receivers() (bridge/ledger/sqlite/receiver_rows.cc).\n" +
                ledger_schema_of_receivers());
}

TEST_F(LedgerSchema, UpdatesCameAsTheyWereReleased) {
  EXPECT_EQ(golden("schema_updates.sql"),
            "-- Made by ledger_schema_of_updates() (bridge/ledger/sqlite/update_schema.cc).\n" +
                ledger_schema_of_updates());
}

TEST_F(LedgerSchema, HeldInstancesAreAsTheyWereReleased) {
  std::ifstream file(source_folder() / "tests/unit/ledger/held_instances.sql");
  ASSERT_TRUE(file.is_open());
  std::ostringstream golden;
  golden << file.rdbuf();

  EXPECT_EQ(
      golden.str(),
      "-- Made by held_instances_migration() (bridge/ledger/sqlite/migration_held_instances.cc)."
      "\n" +
          held_instances_migration());
}

TEST_F(LedgerSchema, TakingBytesAgainIsAsItWasReleased) {
  std::ifstream file(source_folder() / "tests/unit/ledger/bytes_again.sql");
  ASSERT_TRUE(file.is_open());
  std::ostringstream golden;
  golden << file.rdbuf();

  EXPECT_EQ(
      golden.str(),
      "-- Made by bytes_again_migration() (bridge/ledger/sqlite/migration_bytes_again.cc).\n" +
          bytes_again_migration());
}

TEST_F(LedgerSchema, WaitingRequestsAreFoundAsItWasReleased) {
  EXPECT_EQ(golden("commitment_lookup.sql"),
            "-- Made by commitment_lookup_migration() (bridge/ledger/sqlite/commitment_schema.cc)."
            "\n" +
                commitment_lookup_migration());
}

TEST_F(LedgerSchema, DiscardingCameAsItWasReleased) {
  EXPECT_EQ(golden("discard.sql"),
            "-- Made by discard_migration() (bridge/ledger/sqlite/migration_discard.cc).\n" +
                discard_migration());
}

TEST_F(LedgerSchema, AccessionNumbersCameAsTheyWereReleased) {
  EXPECT_EQ(golden("accession.sql"),
            "-- Made by accession_migration() (bridge/ledger/sqlite/migration_accession.cc).\n" +
                accession_migration());
}

TEST_F(LedgerSchema, ARowThatWasThereHasNoAccessionNumberAndMayNotGetOne) {
  sql::Database older = sql::Database::open_in_memory("test").value();
  std::vector<sql::Migration> before = ledger_migrations(env_);
  before.resize(10);
  ASSERT_THAT(sql::migrate(older, before), IsOk());
  const std::string digest(64, 'd');
  ASSERT_THAT(older.run("INSERT INTO instance VALUES (?,'1','1.2','1.3','1.4',?,'CT','','','','',''"
                        ",'1.5',1,0,?,?,'ref',0,NULL,0,NULL,NULL,NULL)",
                        {kInstance, digest, digest, digest}),
              IsOk());

  ASSERT_THAT(sql::migrate(older, ledger_migrations(env_)), IsOk());

  EXPECT_EQ(older.query_text("SELECT accession_hash FROM instance").value(), "");
  EXPECT_THAT(older.run("UPDATE instance SET accession_hash = 'x'"), FailsWith("test.constraint"));
}

TEST_F(LedgerSchema, LanesCameAsTheyWereReleased) {
  EXPECT_EQ(golden("lanes.sql"),
            "-- Made by lanes_migration() (bridge/ledger/sqlite/migration_lanes.cc).\n" +
                lanes_migration());
  EXPECT_THAT(db_.run("UPDATE batch SET lane = 'fast'"), FailsWith("test.constraint"));
}

TEST_F(LedgerSchema, ADeliverysStatesAreThoseOfTheTableWhateverTheFileWasMadeBy) {
  ASSERT_THAT(db_.run("INSERT INTO delivery VALUES ('0000000000000000000000000000000c',?,'cloud',"
                      "'waiting',0,NULL,0,0,0,'','','',NULL,'',NULL,NULL)",
                      {kInstance}),
              IsOk());
  ASSERT_THAT(db_.execute("DROP TRIGGER delivery_transition"), IsOk());

  for (const DeliveryState state : all_delivery_states()) {
    const bool moves = !is_final(state) && !asks_for_person(state);
    EXPECT_THAT(db_.run("UPDATE delivery SET state = ?, next_attempt_at = ?, batch_id = ?",
                        {to_string(state), moves ? std::optional(1) : std::nullopt, kBatch}),
                IsOk())
        << to_string(state);
  }
  EXPECT_THAT(db_.run("UPDATE delivery SET state = 'lost', next_attempt_at = NULL"),
              FailsWith("test.constraint"));
  EXPECT_EQ(db_.query_text("PRAGMA integrity_check").value(), "ok");
}

TEST_F(LedgerSchema, AllTablesAreStrict) {
  EXPECT_EQ(db_.query_integer("SELECT count(*) FROM pragma_table_list WHERE type = 'table' "
                              "AND schema = 'main' AND name NOT LIKE 'sqlite_%' AND strict = 0")
                .value(),
            0);
}

TEST_F(LedgerSchema, SqlRefusesEveryChangeOfADeliveryThatTheTableDoesNotHave) {
  ASSERT_THAT(db_.run("INSERT INTO delivery VALUES ('0000000000000000000000000000000c',?,'cloud',"
                      "'waiting',0,?,0,0,0,'','','',NULL,'',NULL,NULL)",
                      {kInstance, kBatch}),
              IsOk());

  expect_guarded("delivery", all_delivery_states(), delivery_transitions());
}

TEST_F(LedgerSchema, SqlRefusesEveryChangeOfABatchThatTheTableDoesNotHave) {
  expect_guarded("batch", all_batch_states(), batch_transitions());
}

TEST_F(LedgerSchema, SqlRefusesEveryChangeOfAnImportJobThatTheTableDoesNotHave) {
  ASSERT_THAT(db_.run("INSERT INTO import_job VALUES ('0000000000000000000000000000000d',?,'cloud',"
                      "'intended',0,'token','name','in/','out/','s',0,NULL,'',0,NULL,NULL,NULL,'')",
                      {kBatch}),
              IsOk());

  expect_guarded("import_job", all_import_job_states(), import_job_transitions());
}

TEST_F(LedgerSchema, SqlRefusesEveryChangeOfACommitmentThatTheTableDoesNotHave) {
  ASSERT_THAT(db_.run("INSERT INTO commitment VALUES ('0000000000000000000000000000000f','1.2','A',"
                      "'B','',?,1,'',0,'pending',0,0,0,0,0,1,0,0,'','',1)",
                      {std::string(64, 'd')}),
              IsOk());

  expect_guarded("commitment", all_commitment_states(), commitment_transitions());
}

TEST_F(LedgerSchema, SqlRefusesEveryChangeOfAnUpdateThatTheTableDoesNotHave) {
  ASSERT_THAT(
      db_.run("INSERT INTO metadata_update VALUES (1,'0000000000000000000000000000000a',NULL,"
              "'change','cloud','1.2','',0,0,0,0,NULL,'','somebody',0,'pending',0,0,0,'','')"),
      IsOk());
  expect_guarded("metadata_update", all_metadata_update_states(), metadata_update_transitions());

  ASSERT_THAT(db_.run("INSERT INTO metadata_step VALUES ('0000000000000000000000000000000a',0,"
                      "'set',1,0,'planned',1,0,0,'','','')"),
              IsOk());
  expect_guarded("metadata_step", all_metadata_step_states(), metadata_step_transitions());
}

TEST_F(LedgerSchema, WhatWasOrderedAndAppliedStays) {
  ASSERT_THAT(
      db_.run("INSERT INTO metadata_update VALUES (1,'0000000000000000000000000000000a',NULL,"
              "'change','cloud','1.2','',0,0,0,0,NULL,'','somebody',0,'pending',0,0,0,'','')"),
      IsOk());
  ASSERT_THAT(db_.run("INSERT INTO metadata_step VALUES ('0000000000000000000000000000000a',0,"
                      "'set',1,0,'applied',1,2,0,'','','')"),
              IsOk());

  for (const char* statement :
       {"UPDATE metadata_update SET requested_by = 'other'", "DELETE FROM metadata_update",
        "UPDATE metadata_update SET next_attempt_at = NULL", "DELETE FROM metadata_step"}) {
    EXPECT_THAT(db_.run(statement), FailsWith("test.constraint")) << statement;
  }
}

TEST_F(LedgerSchema, ACommitmentGoesOnOnlyWithADateAndEndsOnlyWithAReport) {
  ASSERT_THAT(db_.run("INSERT INTO commitment VALUES ('0000000000000000000000000000000f','1.2','A',"
                      "'B','',?,1,'',0,'pending',0,0,0,0,0,NULL,0,0,'','',1)",
                      {std::string(64, 'd')}),
              IsOk());

  for (const char* statement :
       {"UPDATE commitment SET next_attempt_at = NULL", "UPDATE commitment SET state = 'answered'",
        "UPDATE commitment SET transaction_uid = '1.3'", "UPDATE commitment SET failed = 2",
        "UPDATE commitment SET references_kept = 0", "DELETE FROM commitment"}) {
    EXPECT_THAT(db_.run(statement), FailsWith("test.constraint")) << statement;
  }
}

TEST_F(LedgerSchema, ABatchMustBeginOpenAndInAKnownState) {
  for (const char* state : {"sealed", "nonsense"}) {
    EXPECT_THAT(db_.run("INSERT INTO batch VALUES ('0000000000000000000000000000000e','cloud','',?,"
                        "0,0,0,0,0,0,0,'','',0,0,0,NULL,NULL,'routine')",
                        {state}),
                FailsWith("test.constraint"));
  }
}

TEST_F(LedgerSchema, NothingGoesOnWithoutADate) {
  EXPECT_THAT(db_.run("UPDATE batch SET next_attempt_at = NULL"), FailsWith("test.constraint"));
}

TEST_F(LedgerSchema, ABatchCannotBeReconciledWhenItsOutcomesDoNotAddUp) {
  plant("batch", "settled");
  ASSERT_THAT(db_.execute("UPDATE batch SET members = 2; PRAGMA ignore_check_constraints=OFF;"),
              IsOk());
  const std::string reconcile =
      "UPDATE batch SET state = 'reconciled', next_attempt_at = NULL, ended_at = 1, rejected = ?";

  EXPECT_THAT(db_.run(reconcile, {1}), FailsWith("test.constraint"));
  EXPECT_THAT(db_.run(reconcile, {2}), IsOk());
}

TEST_F(LedgerSchema, FactsDoNotChangeAndNothingIsDeleted) {
  ASSERT_THAT(
      db_.run("INSERT INTO history VALUES (NULL,0,'instance',?,'received','','','')", {kInstance}),
      IsOk());

  for (const char* statement :
       {"UPDATE instance SET study_instance_uid = '1.9'", "UPDATE instance SET size_bytes = 2",
        "UPDATE history SET event = 'other'", "DELETE FROM history", "DELETE FROM instance",
        "DELETE FROM batch"}) {
    EXPECT_THAT(db_.run(statement), FailsWith("test.constraint")) << statement;
  }
}

TEST_F(LedgerSchema, BytesCannotBeClaimedBeforeAllIsImported) {
  EXPECT_THAT(db_.run("UPDATE instance SET freeing_at = 1"), FailsWith("test.constraint"));
  EXPECT_THAT(db_.run("UPDATE instance SET freed_at = 1"), FailsWith("test.constraint"));
  EXPECT_THAT(db_.run("UPDATE instance SET imported_at = 1, freeing_at = 2, freed_at = 3"), IsOk());
}

}  // namespace
}  // namespace isthmus::test
