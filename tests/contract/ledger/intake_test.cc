// What record() promises to receivers.
#include "base/thread.h"
#include "contract/ledger/ledger_fixture.h"

namespace isthmus::test {
namespace {

using testing::ElementsAre;

class LedgerIntake : public LedgerTest {};

TEST_F(LedgerIntake, GivesBackWhatWasRecorded) {
  const Arrival sent = arrival(1);

  ASSERT_OK_AND_ASSIGN(const Receipt receipt, ledger_->record(sent, nullptr));

  EXPECT_EQ(receipt.id, sent.id);
  EXPECT_FALSE(receipt.known);
  EXPECT_EQ(ledger_->has_instance(sent.id).value(), true);
  ASSERT_OK_AND_ASSIGN(const auto found, ledger_->instance(sent.id));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->sop_class_uid, sent.identity.sop_class_uid);
  EXPECT_EQ(found->sop_instance_uid, sent.identity.sop_instance_uid);
  EXPECT_EQ(found->series_instance_uid, sent.identity.series_instance_uid);
  EXPECT_EQ(found->study_instance_uid, sent.identity.study_instance_uid);
  EXPECT_EQ(found->modality, "CT");
  EXPECT_EQ(found->origin, sent.origin);
  EXPECT_EQ(found->transfer_syntax_uid, sent.transfer_syntax_uid);
  EXPECT_EQ(found->size_bytes, 1000u);
  EXPECT_EQ(found->dataset_offset_bytes, 400u);
  EXPECT_EQ(found->dataset_digest, sent.dataset_digest);
  EXPECT_EQ(found->file_digest, sent.file_digest);
  EXPECT_EQ(found->spool_ref, sent.spool_ref);
  EXPECT_EQ(found->received_at, sent.received_at);
  EXPECT_EQ(found->conflicts_with, std::nullopt);
  EXPECT_FALSE(found->identity_conflict);
  EXPECT_EQ(found->freed_at, std::nullopt);
}

TEST_F(LedgerIntake, MakesOneWaitingDeliveryForEachDestination) {
  close();
  open({"a", "b"});

  const InstanceId id = receive(1);

  ASSERT_OK_AND_ASSIGN(const auto views, ledger_->instances(id.text(), 10));
  ASSERT_EQ(views.size(), 1u);
  ASSERT_EQ(views[0].deliveries.size(), 2u);
  EXPECT_EQ(views[0].deliveries[0].destination, "a");
  EXPECT_EQ(views[0].deliveries[1].destination, "b");
  for (const Delivery& delivery : views[0].deliveries) {
    EXPECT_EQ(delivery.state, DeliveryState::waiting);
    EXPECT_EQ(delivery.next_attempt_at, now());
  }
}

TEST_F(LedgerIntake, AnArrivalThatNamesItsDestinationsGoesOnlyThere) {
  close();
  open({"a", "b", "c"});
  Arrival routed = arrival(1);
  routed.destinations = {"c", "a"};

  ASSERT_THAT(ledger_->record(routed, nullptr), IsOk());

  EXPECT_EQ(ledger_->waiting_deliveries("a", now(), 10)->size(), 1u);
  EXPECT_EQ(ledger_->waiting_deliveries("b", now(), 10)->size(), 0u);
  EXPECT_EQ(ledger_->waiting_deliveries("c", now(), 10)->size(), 1u);
  expect_sound();
}

TEST_F(LedgerIntake, NoArrivalIsWithoutADestination) {
  Arrival nowhere = arrival(1);
  nowhere.destinations.emplace();
  Arrival unknown = arrival(2);
  unknown.destinations = {"was-configured-once"};

  ASSERT_THAT(ledger_->record(nowhere, nullptr), IsOk());
  ASSERT_THAT(ledger_->record(unknown, nullptr), IsOk());

  EXPECT_EQ(ledger_->waiting_deliveries(kCloud, now(), 10)->size(), 1u);
  EXPECT_EQ(ledger_->waiting_deliveries("was-configured-once", now(), 10)->size(), 1u);
}

TEST_F(LedgerIntake, TheSameBytesAgainAreKnownAndMakeNoRow) {
  const InstanceId first = receive(1);

  ASSERT_OK_AND_ASSIGN(const Receipt again, ledger_->record(arrival(1), nullptr));

  EXPECT_TRUE(again.known);
  EXPECT_EQ(again.id, first);
  EXPECT_EQ(ledger_->waiting_deliveries(kCloud, now(), 10)->size(), 1u);
}

TEST_F(LedgerIntake, AnInstanceIsStillKnownWhenItsBytesWereFreed) {
  const Filled done = batch_in(BatchState::reconciled);
  ASSERT_THAT(ledger_->claim_freeing(done.instances[0]), IsOk());
  ASSERT_THAT(ledger_->note_freed(done.instances[0]), IsOk());

  ASSERT_OK_AND_ASSIGN(const Receipt again, ledger_->record(arrival(1000), nullptr));

  EXPECT_TRUE(again.known);
  EXPECT_EQ(again.id, done.instances[0]);
}

TEST_F(LedgerIntake, OtherBytesUnderTheSameUidAreKeptBesideTheFirstAndDelivered) {
  const InstanceId first = receive(1);

  ASSERT_OK_AND_ASSIGN(const Receipt other, ledger_->record(arrival(1, 1, "other"), nullptr));
  ASSERT_OK_AND_ASSIGN(const Receipt third, ledger_->record(arrival(1, 1, "third"), nullptr));

  EXPECT_FALSE(other.known);
  EXPECT_EQ(ledger_->instance(other.id).value()->conflicts_with, first);
  EXPECT_EQ(ledger_->instance(third.id).value()->conflicts_with, first);
  EXPECT_FALSE(ledger_->instance(other.id).value()->identity_conflict);
  EXPECT_EQ(delivery(other.id).state, DeliveryState::waiting);
  ASSERT_OK_AND_ASSIGN(const Receipt again, ledger_->record(arrival(1, 1, "other"), nullptr));
  EXPECT_TRUE(again.known);
  EXPECT_EQ(again.id, other.id);
}

TEST_F(LedgerIntake, AUidOfAnotherStudyAsksForAPerson) {
  receive(1, 1);

  ASSERT_OK_AND_ASSIGN(const Receipt other, ledger_->record(arrival(1, 2, "other"), nullptr));

  EXPECT_TRUE(ledger_->instance(other.id).value()->identity_conflict);
  const Delivery held = delivery(other.id);
  EXPECT_EQ(held.state, DeliveryState::quarantined);
  EXPECT_EQ(held.reason_code, "identity_conflict");
  EXPECT_EQ(held.next_attempt_at, std::nullopt);
  expect_sound();
}

TEST_F(LedgerIntake, AUidOfAnotherPatientAsksForAPersonAndIsReleasedByOrder) {
  receive(1);
  Arrival other = arrival(1, 1, "other");
  other.identity.patient_id = "SOMEBODY ELSE";

  ASSERT_OK_AND_ASSIGN(const Receipt receipt, ledger_->record(other, nullptr));
  EXPECT_EQ(delivery(receipt.id).state, DeliveryState::quarantined);

  EXPECT_EQ(ledger_->order_retry(receipt.id.text()).value(), 1);
  EXPECT_EQ(delivery(receipt.id).state, DeliveryState::waiting);
}

TEST_F(LedgerIntake, TwoSimultaneousArrivalsOfOneInstanceMakeOneRow) {
  constexpr int kThreads = 8;
  std::vector<Arrival> arrivals;
  for (int i = 0; i < kThreads; ++i) arrivals.push_back(arrival(1));
  std::vector<std::optional<Receipt>> receipts(kThreads);
  {
    std::vector<Thread> threads;
    for (std::size_t i = 0; i < kThreads; ++i) {
      threads.emplace_back(env_, "sender",
                           [&, i] { receipts[i] = ledger_->record(arrivals[i], nullptr).value(); });
    }
  }

  int made = 0;
  for (const auto& receipt : receipts) {
    made += receipt->known ? 0 : 1;
    EXPECT_EQ(receipt->id, receipts[0]->id);
  }
  EXPECT_EQ(made, 1);
  EXPECT_EQ(ledger_->counts()->front().count, 1);
}

TEST_F(LedgerIntake, AnIdThatIsTakenIsRefusedAndItsNeighboursAreNotConcerned) {
  const InstanceId taken = receive(1);
  Arrival bad = arrival(2);
  bad.id = taken;
  const Arrival good = arrival(3);

  EXPECT_THAT(ledger_->record(bad, nullptr), FailsWith("ledger.constraint", Fate::permanent));

  EXPECT_THAT(ledger_->record(good, nullptr), IsOk());
  EXPECT_EQ(ledger_->waiting_deliveries(kCloud, now(), 10)->size(), 2u);
  expect_sound();
}

TEST_F(LedgerIntake, NeverKeepsAPatientIdentifier) {
  Arrival sent = arrival(1);
  sent.identity.patient_id = "VERYPRIVATE12345";
  sent.identity.accession_number = "VERYPRIVATE67890";
  ASSERT_THAT(ledger_->record(sent, nullptr), IsOk());
  close();

  std::string all;
  ASSERT_OK_AND_ASSIGN(const auto names, posix_files().list(env_.folder() / "ledger"));
  for (const std::string& name : names) {
    auto file = posix_files().open(env_.folder() / "ledger" / name, FileSystem::Mode::read_only);
    const std::uint64_t size = (*file)->size().value();
    auto source = source_of_file(std::move(file).value(), 0, size);
    all += read_all(*source, 100 * MiB).value();
  }
  EXPECT_NE(all.find("1.2.826.9.1"), std::string::npos);
  EXPECT_EQ(all.find("VERYPRIVATE"), std::string::npos);
}

TEST_F(LedgerIntake, TellsTheStoryFromItsFirstLine) {
  const InstanceId id = receive(1);

  EXPECT_THAT(events_of(id.text()), ElementsAre("received"));
}

}  // namespace
}  // namespace isthmus::test
