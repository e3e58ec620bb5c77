// What Overview promises, beside a ledger at work.
#include "ledger/overview.h"

#include <gmock/gmock.h>

#include "contract/ledger/ledger_fixture.h"
#include "sql/sql.h"

namespace isthmus::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class OverviewTest : public LedgerTest {
 protected:
  void SetUp() override {
    LedgerTest::SetUp();
    overview_ = open_sqlite_overview(env_.folder() / "ledger");
  }
  void TearDown() override { overview_.reset(); }

  InstanceId receive_from(int n, int study, const std::string& sender,
                          const std::string& patient = "patient") {
    Arrival one = arrival(n, study);
    one.origin.calling_ae_title = sender;
    one.identity.patient_id = patient;
    return ledger_->record(one, nullptr).value().id;
  }
  Uid study_uid(const InstanceId& id) { return ledger_->instance(id).value()->study_instance_uid; }
  std::vector<InstanceId> ids(const InstanceFilter& filter) {
    std::vector<InstanceId> found;
    for (const auto& view : overview_->instances(filter, {}, 100).value().items) {
      found.push_back(view.instance.id);
    }
    return found;
  }
  std::vector<Uid> studies(const InstanceFilter& filter) {
    std::vector<Uid> found;
    for (const auto& view : overview_->studies(filter, {}, 100).value().items) {
      found.push_back(view.study_instance_uid);
    }
    return found;
  }

  std::unique_ptr<Overview> overview_;
};

TEST_F(OverviewTest, PagesThroughInstancesNewestFirstAndSeesEachOnce) {
  std::vector<InstanceId> made;
  for (int n = 1; n <= 7; ++n) made.insert(made.begin(), receive(n));

  std::vector<InstanceId> seen;
  Overview::Cursor cursor;
  int pages = 0;
  do {
    ASSERT_OK_AND_ASSIGN(const auto page, overview_->instances({}, cursor, 3));
    for (const auto& view : page.items) seen.push_back(view.instance.id);
    cursor = page.next;
    receive(100 + pages++);  // what comes meanwhile is not in later pages
  } while (cursor);

  EXPECT_EQ(seen, made);
  EXPECT_EQ(pages, 3);
}

TEST_F(OverviewTest, ALastPageThatIsFullHasNoNext) {
  receive(1), receive(2);

  EXPECT_EQ(overview_->instances({}, {}, 2)->next, std::nullopt);
  EXPECT_NE(overview_->instances({}, {}, 1)->next, std::nullopt);
}

TEST_F(OverviewTest, FindsInstancesByEachName) {
  const InstanceId one = receive(1, 1);
  const InstanceId other = receive(2, 2);
  const Instance known = *ledger_->instance(one).value();

  EXPECT_THAT(ids({.id = one.text()}), ElementsAre(one));
  EXPECT_THAT(ids({.study_instance_uid = known.study_instance_uid.text()}), ElementsAre(one));
  EXPECT_THAT(ids({.series_instance_uid = known.series_instance_uid.text()}), ElementsAre(one));
  EXPECT_THAT(ids({.sop_instance_uid = known.sop_instance_uid.text()}), ElementsAre(one));
  EXPECT_THAT(ids({}), ElementsAre(other, one));
  EXPECT_THAT(ids({.id = one.text(), .sop_instance_uid = "1.2.3"}), IsEmpty());
}

TEST_F(OverviewTest, FiltersBySenderPatientAndDate) {
  const InstanceId first = receive_from(1, 1, "CT", "p1");
  advance_clock(3600);
  const WallTime between = now();
  const InstanceId second = receive_from(2, 1, "MR", "p2");

  EXPECT_THAT(ids({.sender = "CT"}), ElementsAre(first));
  EXPECT_THAT(ids({.sender = "ct"}), IsEmpty());
  EXPECT_THAT(ids({.patient_id = "p2"}), ElementsAre(second));
  EXPECT_THAT(ids({.patient_id = "p"}), IsEmpty());
  EXPECT_THAT(ids({.since = between}), ElementsAre(second));
  EXPECT_THAT(ids({.until = between}), ElementsAre(first));
}

TEST_F(OverviewTest, FindsByAccessionNumberOrItsHash) {
  Arrival with = arrival(1, 1), other = arrival(2, 2);
  with.identity.accession_number = "A1";
  other.identity.accession_number = "A2";
  const InstanceId one = ledger_->record(with, nullptr).value().id;
  const InstanceId two = ledger_->record(other, nullptr).value().id;
  const InstanceId without = receive(3, 3);
  const auto hash_of = [&](const InstanceId& id) {
    return ledger_->instance(id).value()->accession_hash;
  };

  EXPECT_THAT(ids({.accession_number = "A1"}), ElementsAre(one));
  EXPECT_THAT(ids({.accession_number = "A"}), IsEmpty());
  EXPECT_THAT(ids({.accession_hash = hash_of(two)}), ElementsAre(two));
  EXPECT_THAT(ids({.accession_number = "A2", .accession_hash = hash_of(two)}), ElementsAre(two));
  EXPECT_THAT(ids({.accession_number = "A1", .accession_hash = hash_of(two)}), IsEmpty());
  EXPECT_EQ(hash_of(one).size(), 64u);
  EXPECT_NE(hash_of(one), hash_of(two));
  EXPECT_EQ(hash_of(without), "");
}

TEST_F(OverviewTest, AnAccessionNumberIsNotFoundByThePatientOfTheSameSpelling) {
  Arrival sent = arrival(1);
  sent.identity.patient_id = "X";
  sent.identity.accession_number = "Y";
  const InstanceId id = ledger_->record(sent, nullptr).value().id;

  EXPECT_THAT(ids({.patient_id = "X", .accession_number = "Y"}), ElementsAre(id));
  EXPECT_THAT(ids({.patient_id = "Y"}), IsEmpty());
  EXPECT_THAT(ids({.accession_number = "X"}), IsEmpty());
}

TEST_F(OverviewTest, AStudyIsFoundByAnAccessionNumberThatItsNewestInstanceLacks) {
  Arrival image = arrival(1, 1);
  image.identity.accession_number = "A1";
  const Uid study = study_uid(ledger_->record(image, nullptr).value().id);
  Arrival second = arrival(2, 1);
  second.identity.accession_number = "A1";
  ignore(ledger_->record(second, nullptr), "one of two with it");
  receive(3, 1);
  receive(4, 2);

  EXPECT_THAT(studies({.accession_number = "A1"}), ElementsAre(study));
  EXPECT_THAT(studies({.accession_number = "A2"}), IsEmpty());
  EXPECT_THAT(overview_->study(study)->accession_hashes, SizeIs(1));
}

TEST_F(OverviewTest, FiltersByStateAtADestination) {
  const Filled imported = batch_in(BatchState::reconciled);
  const InstanceId waiting = receive(1);

  EXPECT_THAT(ids({.state = DeliveryState::waiting}), ElementsAre(waiting));
  EXPECT_THAT(ids({.destination = kCloud, .state = DeliveryState::imported}),
              ElementsAre(imported.instances.front()));
  EXPECT_THAT(ids({.destination = "elsewhere"}), IsEmpty());
}

TEST_F(OverviewTest, ListsAStudyOnceWhereItsNewestInstanceIs) {
  const InstanceId a = receive_from(1, 1, "CT");
  const InstanceId b = receive_from(2, 2, "CT");
  receive_from(3, 1, "MR");

  EXPECT_THAT(studies({}), ElementsAre(study_uid(a), study_uid(b)));
  EXPECT_THAT(studies({.sender = "CT"}), ElementsAre(study_uid(b)));
  ASSERT_OK_AND_ASSIGN(const auto first, overview_->studies({}, {}, 1));
  ASSERT_OK_AND_ASSIGN(const auto rest, overview_->studies({}, first.next, 1));
  EXPECT_EQ(first.items.at(0).study_instance_uid, study_uid(a));
  EXPECT_EQ(rest.items.at(0).study_instance_uid, study_uid(b));
  // An older instance of the first study is left: that it was listed is found by walking over it.
  ASSERT_OK_AND_ASSIGN(const auto last, overview_->studies({}, rest.next, 1));
  EXPECT_THAT(last.items, IsEmpty());
  EXPECT_EQ(last.next, std::nullopt);
}

TEST_F(OverviewTest, FiltersStudiesByTheStateOfAnyInstance) {
  const Filled done = batch_in(BatchState::reconciled, 2);
  const Uid study = study_uid(done.instances.front());

  EXPECT_THAT(studies({.state = DeliveryState::imported}), ElementsAre(study));
  EXPECT_THAT(studies({.state = DeliveryState::rejected}), IsEmpty());
}

TEST_F(OverviewTest, TellsAStudyWithItsSeries) {
  const InstanceId a = receive_from(1, 1, "CT");
  advance_clock(10);
  receive_from(2, 1, "MR");

  ASSERT_OK_AND_ASSIGN(const StudyView view, overview_->study(study_uid(a)));
  ASSERT_OK_AND_ASSIGN(const auto series, overview_->series(study_uid(a)));

  EXPECT_EQ(view.instances, 2);
  EXPECT_EQ(view.last_sender, "MR");
  EXPECT_EQ(view.last_received_at - view.first_received_at, Milliseconds(10'000));
  ASSERT_THAT(view.destinations, SizeIs(1));
  EXPECT_EQ(view.destinations[0].received, 2);
  EXPECT_EQ(view.series, static_cast<std::int64_t>(series.size()));
  EXPECT_THAT(overview_->study(*Uid::parse("1.2.3")), FailsWith("ledger.not_found"));
}

TEST_F(OverviewTest, TellsBatchesAndJobs) {
  const Filled open = batch_in(BatchState::open);
  const Filled running = job_in(ImportJobState::running);

  ASSERT_OK_AND_ASSIGN(const auto batches, overview_->batches(kCloud, BatchState::open, {}, 10));
  ASSERT_OK_AND_ASSIGN(const auto jobs,
                       overview_->import_jobs(kCloud, ImportJobState::running, {}, 10));

  ASSERT_THAT(batches.items, SizeIs(1));
  EXPECT_EQ(batches.items[0].batch.id, open.batch);
  EXPECT_EQ(overview_->batch(open.batch)->batch.members, 1);
  ASSERT_THAT(jobs.items, SizeIs(1));
  EXPECT_EQ(jobs.items[0].intent.id, *running.job);
  EXPECT_EQ(overview_->import_job(*running.job)->intent.batch, running.batch);
  EXPECT_THAT(overview_->batches("elsewhere", {}, {}, 10)->items, IsEmpty());
  EXPECT_EQ(overview_->batches("", {}, {}, 1)->items[0].batch.id, running.batch);
  EXPECT_NE(overview_->batches("", {}, {}, 1)->next, std::nullopt);
  EXPECT_THAT(overview_->batch(BatchId::make(env_)), FailsWith("ledger.not_found"));
}

TEST_F(OverviewTest, AReceiptSaysWhereEveryInstanceIs) {
  const Filled done = batch_in(BatchState::reconciled, 2);

  ASSERT_OK_AND_ASSIGN(const auto lines,
                       overview_->receipt(study_uid(done.instances.front()), 100));

  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_EQ(lines[0].instance, done.instances[0]);
  EXPECT_EQ(lines[0].state, DeliveryState::imported);
  EXPECT_EQ(lines[0].batch, done.batch);
  EXPECT_TRUE(lines[0].staged_at);
  EXPECT_TRUE(lines[0].concluded_at);
  EXPECT_FALSE(lines[0].remote_job_id.empty());
  EXPECT_THAT(overview_->receipt(study_uid(done.instances.front()), 1).value(), SizeIs(1));
}

TEST_F(OverviewTest, EventsFollowFromANumberOn) {
  receive(1);
  ASSERT_OK_AND_ASSIGN(const std::int64_t before, overview_->newest_event());
  const InstanceId later = receive(2);

  ASSERT_OK_AND_ASSIGN(const auto events, overview_->events(before, 10));

  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(events[0].entry.subject_id, later.text());
  EXPECT_GT(events[0].seq, before);
  EXPECT_THAT(overview_->events(events[0].seq, 10).value(), IsEmpty());
}

TEST_F(OverviewTest, AWalkIsBoundedAndSaysWhereToGoOn) {
  sql::Database db =
      sql::Database::open(env_.folder() / "ledger" / "ledger.sqlite", {.error_area = "test"})
          .value();
  const InstanceId wanted = receive_from(1, 1, "RARE");
  // More rows than one page may walk, made by the file itself.
  ASSERT_THAT(
      db.run(
          "INSERT INTO instance SELECT printf('%032x', n.value), i.sop_class_uid, "
          "'1.9.' || n.value, i.series_instance_uid, i.study_instance_uid, i.patient_hash, "
          "i.modality, i.receiver, 'COMMON', i.called_ae_title, i.peer_address, "
          "i.association_id, i.transfer_syntax_uid, i.size_bytes, i.dataset_offset_bytes, "
          "i.dataset_digest, i.file_digest, i.spool_ref, i.received_at, NULL, 0, NULL, NULL, "
          "NULL, '' FROM instance i, (WITH RECURSIVE c(value) AS (SELECT 1 UNION ALL SELECT value "
          "+ 1 FROM c WHERE value < 12000) SELECT value FROM c) n"),
      IsOk());

  ASSERT_OK_AND_ASSIGN(const auto first, overview_->instances({.sender = "RARE"}, {}, 10));
  ASSERT_TRUE(first.next);
  ASSERT_OK_AND_ASSIGN(const auto second, overview_->instances({.sender = "RARE"}, first.next, 10));

  EXPECT_THAT(first.items, IsEmpty());
  ASSERT_THAT(second.items, SizeIs(1));
  EXPECT_EQ(second.items[0].instance.id, wanted);
  EXPECT_EQ(second.next, std::nullopt);
}

}  // namespace
}  // namespace isthmus::test
