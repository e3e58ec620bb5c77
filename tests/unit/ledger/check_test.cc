// check() finds damage that no call of ours can do: planted here past the guards, by a connection
// of its own.
#include "contract/ledger/ledger_fixture.h"
#include "ledger/commitments.h"
#include "ledger/sqlite/schema.h"
#include "sql/sql.h"

namespace isthmus::test {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

class LedgerCheck : public LedgerTest {
 protected:
  void SetUp() override {
    LedgerTest::SetUp();
    for (const BatchState state : all_batch_states()) batch_in(state, 2);
    for (const DeliveryState state : all_delivery_states()) delivery_in(state);
    for (const ImportJobState state : all_import_job_states()) job_in(state);
  }
  void damage(std::string_view script) {
    auto db =
        sql::Database::open(env_.folder() / "ledger" / "ledger.sqlite", {.error_area = "test"});
    ASSERT_THAT(db, IsOk());
    ASSERT_THAT(db->execute("PRAGMA foreign_keys=OFF; PRAGMA ignore_check_constraints=ON;"
                            "DROP TRIGGER delivery_transition; DROP TRIGGER batch_transition;"
                            "DROP TRIGGER import_job_transition; DROP TRIGGER instance_stays;"
                            "DROP INDEX import_job_open;"),
                IsOk());
    ASSERT_THAT(db->execute(script), IsOk());
  }
  void expect_finding(std::string_view script, const std::string& finding) {
    ASSERT_THAT(*ledger_->check(), IsEmpty());
    damage(script);
    EXPECT_THAT(ledger_->check().value(), Contains(HasSubstr(finding)));
  }
};

TEST_F(LedgerCheck, FindsADeliveryWithoutADate) {
  expect_finding("UPDATE delivery SET next_attempt_at = NULL WHERE state = 'waiting'",
                 "is waiting and has no date");
}

class LedgerCheckOfCommitments : public LedgerCheck {
 protected:
  void SetUp() override {
    LedgerCheck::SetUp();
    CommitmentRequest request;
    request.transaction_uid = *Uid::parse("1.2.3");
    request.calling_ae_title = "CT";
    ASSERT_TRUE(request.references.add(*Uid::parse("1.2"), *Uid::parse("1.2.9")));
    const auto recorded = ledger_->commitments().request(request, 10);
    ASSERT_THAT(recorded, IsOk());
    ASSERT_THAT(ledger_->commitments().conclude(recorded->id, {}, in(10)), IsOk());
  }
};

TEST_F(LedgerCheckOfCommitments, FindsOneWithoutADate) {
  expect_finding("UPDATE commitment SET next_attempt_at = NULL", "is answered and has no date");
}

TEST_F(LedgerCheckOfCommitments, FindsOneWhoseListIsNotWhole) {
  expect_finding("DELETE FROM commitment_reference", "asks about 1 and lists 0");
}

TEST_F(LedgerCheckOfCommitments, FindsOneThatCountsItsFailuresWrongly) {
  expect_finding("UPDATE commitment_reference SET failure_reason = 0", "counts its failures");
}

TEST_F(LedgerCheck, FindsABatchWithoutADate) {
  expect_finding("UPDATE batch SET next_attempt_at = NULL WHERE state = 'staged'",
                 "is staged and has no date");
}

TEST_F(LedgerCheck, FindsAnImportJobWithoutADate) {
  expect_finding("UPDATE import_job SET next_poll_at = NULL WHERE state = 'running'",
                 "is running and has no date");
}

TEST_F(LedgerCheck, FindsAStagedDeliveryThatNobodyLooksAfter) {
  expect_finding("UPDATE batch SET state = 'abandoned' WHERE state = 'staged'",
                 "is staged in a batch that is abandoned");
}

TEST_F(LedgerCheck, FindsAWaitingDeliveryThatNobodyLooksAfter) {
  expect_finding("UPDATE batch SET state = 'submitted' WHERE state = 'sealed'",
                 "is waiting in a batch that is submitted");
}

TEST_F(LedgerCheck, FindsASubmittedBatchWithoutAJob) {
  expect_finding("UPDATE import_job SET state = 'failed' WHERE state = 'running'",
                 "is submitted and has no running import job");
}

TEST_F(LedgerCheck, FindsASettledBatchWithoutAJob) {
  expect_finding("UPDATE import_job SET state = 'failed' WHERE state = 'succeeded'",
                 "is settled and has no import job that succeeded");
}

TEST_F(LedgerCheck, FindsMembersThatAreNotThere) {
  expect_finding("UPDATE batch SET members = 5 WHERE state = 'open'", "counts 5 members and has 2");
}

TEST_F(LedgerCheck, FindsOutcomesThatDoNotAddUp) {
  expect_finding("UPDATE batch SET imported = imported - 1 WHERE state = 'reconciled'", "I4");
}

TEST_F(LedgerCheck, FindsOutcomesThatAreMissing) {
  expect_finding("DELETE FROM outcome WHERE kind = 'rejected'", "members and 0 outcomes");
}

TEST_F(LedgerCheck, FindsBytesThatWereFreedTooEarly) {
  expect_finding("UPDATE instance SET imported_at = 1, freeing_at = 1", "I5");
}

TEST_F(LedgerCheck, FindsTwoJobsOfOneBatch) {
  expect_finding(
      "UPDATE import_job SET state = 'running', batch_id = (SELECT batch_id "
      "FROM import_job WHERE state = 'running' LIMIT 1), next_poll_at = 1 "
      "WHERE state = 'intended'",
      "I6");
}

TEST_F(LedgerCheck, FindsAMissingInstance) {
  expect_finding("DELETE FROM instance WHERE rowid = 1", "foreign key: delivery");
}

TEST_F(LedgerCheck, FindsAWrongCount) {
  expect_finding("UPDATE state_count SET count = count + 1 WHERE state = 'imported'",
                 "counted wrongly");
}

TEST_F(LedgerCheck, FindsAnUnknownState) {
  expect_finding("UPDATE batch SET state = 'nonsense' WHERE state = 'open'",
                 "is in an unknown state");
}

TEST_F(LedgerCheck, FindsADamagedFile) {
  expect_finding(
      "PRAGMA writable_schema=ON; DELETE FROM sqlite_schema WHERE name = "
      "'delivery_waiting';",
      "integrity: ");
}

}  // namespace
}  // namespace isthmus::test
