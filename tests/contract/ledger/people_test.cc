// Counts, stories, lists and orders: what `isthmus status`, `history` and `retry` show and do.
#include <set>

#include "contract/ledger/ledger_fixture.h"

namespace isthmus::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class LedgerPeople : public LedgerTest {
 protected:
  std::optional<StateCount> count_of(std::string_view subject, std::string_view state) {
    const auto counts = ledger_->counts().value();
    for (const StateCount& count : counts) {
      if (count.subject == subject && count.state == state) return count;
    }
    return std::nullopt;
  }
};

TEST_F(LedgerPeople, CountsEachStateAndSinceWhenTheOldestIsInIt) {
  const WallTime start = now();
  receive(1);
  advance_clock(10);
  receive(2);
  batch_in(BatchState::submitted, 3);
  batch_in(BatchState::stuck);
  delivery_in(DeliveryState::quarantined);

  EXPECT_EQ(count_of("delivery", "waiting")->count, 2);
  EXPECT_EQ(count_of("delivery", "waiting")->oldest_since, start);
  EXPECT_EQ(count_of("delivery", "waiting")->destination, kCloud);
  EXPECT_EQ(count_of("delivery", "staged")->count, 4);
  EXPECT_EQ(count_of("delivery", "staged")->oldest_since, now());
  EXPECT_FALSE(count_of("delivery", "staged")->asks_for_person);
  EXPECT_TRUE(count_of("delivery", "quarantined")->asks_for_person);
  EXPECT_EQ(count_of("batch", "submitted")->count, 1);
  EXPECT_TRUE(count_of("batch", "stuck")->asks_for_person);
  EXPECT_EQ(count_of("import_job", "running")->count, 1);
  EXPECT_EQ(count_of("import_job", "running")->oldest_since, now());
  EXPECT_EQ(count_of("batch", "open"), std::nullopt) << "states that nothing is in are not named";
}

TEST_F(LedgerPeople, AsksNameTheReasonOldestFirst) {
  const InstanceId rejected_instance = receive(1);
  const DeliveryId quarantined = delivery(rejected_instance).id;
  ASSERT_THAT(ledger_->quarantine(quarantined, DeliveryEvent::input_unusable,
                                  permanent_error("spool.not_found", "The bytes are gone.")),
              IsOk());
  advance_clock(10);
  const Filled stuck = batch_in(BatchState::stuck);
  advance_clock(10);
  delivery_in(DeliveryState::rejected);

  ASSERT_OK_AND_ASSIGN(const auto asks, ledger_->asks(10));

  ASSERT_THAT(asks, SizeIs(3));
  EXPECT_EQ(asks[0].subject, "delivery");
  EXPECT_EQ(asks[0].subject_id, quarantined.text());
  EXPECT_EQ(asks[0].state, "quarantined");
  EXPECT_EQ(asks[0].reason_code, "spool.not_found");
  EXPECT_EQ(asks[0].reason, "The bytes are gone.");
  EXPECT_EQ(asks[0].since, in(-20));
  EXPECT_EQ(asks[1].subject, "batch");
  EXPECT_EQ(asks[1].subject_id, stuck.batch.text());
  EXPECT_EQ(asks[1].reason_code, "import.denied");
  EXPECT_EQ(asks[2].state, "rejected");
  EXPECT_THAT(*ledger_->asks(1), SizeIs(1));
}

TEST_F(LedgerPeople, TheStoryOfAnInstanceNamesItsBatchAndJob) {
  const Filled done = batch_in(BatchState::reconciled);
  receive(1, 2);

  ASSERT_OK_AND_ASSIGN(const auto story, ledger_->history("1.2.826.9.1000", 100));

  std::vector<std::string> lines;
  for (const HistoryEntry& entry : story) lines.push_back(entry.subject + " " + entry.event);
  EXPECT_THAT(lines, ElementsAre("instance received", "batch opened", "batch seal",
                                 "delivery object_confirmed", "batch all_staged",
                                 "import_job intended", "import_job started", "batch job_started",
                                 "import_job ended_well", "batch job_ended",
                                 "delivery outcome_imported", "batch outcomes_recorded"));
  EXPECT_EQ(story[3].from_state, "waiting");
  EXPECT_EQ(story[3].to_state, "staged");
  EXPECT_EQ(story[0].from_state, "");
  EXPECT_EQ(story[0].at, now());
  for (const std::string& name :
       {done.instances[0].text(), std::string("1.2.826.1"), std::string("1.2.826.1.1")}) {
    EXPECT_THAT(*ledger_->history(name, 100), SizeIs(story.size())) << name;
  }
  EXPECT_THAT(*ledger_->history(done.batch.text(), 100), SizeIs(6));
  EXPECT_THAT(*ledger_->history(done.job->text(), 100), SizeIs(3));
  EXPECT_THAT(*ledger_->history("1.2.3", 100), IsEmpty());
  EXPECT_THAT(*ledger_->history("1.2.826.1", 2), SizeIs(2));
}

TEST_F(LedgerPeople, TheStoryKeepsWhyAndTheBatchesThatWereLeft) {
  const Filled settled = batch_in(BatchState::settled);
  ASSERT_THAT(ledger_->record_outcomes(settled.batch, outcomes(settled, OutcomeKind::unaccounted)),
              IsOk());

  ASSERT_OK_AND_ASSIGN(const auto story, ledger_->history(settled.instances[0].text(), 100));

  std::set<std::string> subjects;
  std::string why;
  for (const HistoryEntry& entry : story) {
    subjects.insert(entry.subject_id);
    if (entry.event == "outcome_unaccounted") why = entry.why;
  }
  EXPECT_EQ(why, "InternalServerException: The service's words.");
  EXPECT_TRUE(subjects.contains(settled.batch.text()));
  EXPECT_TRUE(subjects.contains(settled.job->text()));
}

TEST_F(LedgerPeople, StudiesAddUpPerDestinationNewestFirst) {
  const Filled settled = batch_in(BatchState::settled, 5);
  auto records = outcomes(settled, OutcomeKind::imported);
  records[2] = outcome(settled.deliveries[2], OutcomeKind::rejected);
  records[3] = outcome(settled.deliveries[3], OutcomeKind::unaccounted, in(5));
  records[4] = outcome(settled.deliveries[4], OutcomeKind::unaccounted);
  ASSERT_THAT(ledger_->record_outcomes(settled.batch, records), IsOk());
  receive(1, 2);

  ASSERT_OK_AND_ASSIGN(const auto studies, ledger_->studies(10));

  ASSERT_THAT(studies, SizeIs(2));
  EXPECT_EQ(studies[0].study_instance_uid.text(), "1.2.826.2");
  EXPECT_EQ(studies[0].received, 1);
  EXPECT_EQ(studies[0].staged, 0);
  EXPECT_THAT(studies[0].import_job_ids, IsEmpty());
  const StudySummary& study = studies[1];
  EXPECT_EQ(study.study_instance_uid.text(), "1.2.826.1");
  EXPECT_EQ(study.destination, kCloud);
  EXPECT_EQ(study.received, 5);
  EXPECT_EQ(study.staged, 5);
  EXPECT_EQ(study.imported, 2);
  EXPECT_EQ(study.rejected, 1);
  EXPECT_EQ(study.quarantined, 1);
  EXPECT_EQ(study.unaccounted, 1);
  EXPECT_THAT(study.import_job_ids, ElementsAre("remote-" + settled.job->text()));
  EXPECT_THAT(study.image_set_ids, ElementsAre(records[0].outcome.image_set_id));
  EXPECT_THAT(*ledger_->studies(1), SizeIs(1));
}

TEST_F(LedgerPeople, AnOrderMovesEverythingThatAsksAndNothingElse) {
  const DeliveryId quarantined = delivery_in(DeliveryState::quarantined);
  const DeliveryId rejected = delivery_in(DeliveryState::rejected);
  const Filled stuck = batch_in(BatchState::stuck, 2);
  const Filled imported = batch_in(BatchState::reconciled);
  const Filled staged = batch_in(BatchState::staged);

  EXPECT_EQ(ledger_->order_retry("all").value(), 3);

  std::set<DeliveryId> waiting;
  const auto deliveries = ledger_->waiting_deliveries(kCloud, now(), 100).value();
  for (const WaitingDelivery& delivery : deliveries) {
    waiting.insert(delivery.id);
    EXPECT_EQ(delivery.attempts, 0);
  }
  EXPECT_EQ(waiting, (std::set{quarantined, rejected, stuck.deliveries[0], stuck.deliveries[1]}));
  EXPECT_EQ(batch(stuck.batch).state, BatchState::abandoned);
  EXPECT_EQ(batch(staged.batch).state, BatchState::staged);
  EXPECT_EQ(delivery(imported.instances[0]).state, DeliveryState::imported);
  EXPECT_THAT(*ledger_->asks(10), IsEmpty());
  EXPECT_EQ(ledger_->order_retry("all").value(), 0);
  expect_sound();
}

TEST_F(LedgerPeople, AnOrderMovesMoreThanOneTransactionHolds) {
  constexpr int kMany = 1203;
  for (int i = 0; i < kMany; ++i) {
    Arrival other = arrival(1, 1, std::to_string(i));
    if (i > 0) other.identity.patient_id = "another";
    ASSERT_THAT(ledger_->record(other, nullptr), IsOk());
  }
  EXPECT_EQ(count_of("delivery", "quarantined")->count, kMany - 1);

  EXPECT_EQ(ledger_->order_retry("all").value(), kMany - 1);

  EXPECT_EQ(count_of("delivery", "waiting")->count, kMany);
}

TEST_F(LedgerPeople, AnOrderCanNameAUidAnInstanceADeliveryOrABatch) {
  const auto quarantined = [&](int n, int study) {
    const InstanceId id = receive(n, study);
    EXPECT_THAT(ledger_->quarantine(delivery(id).id, DeliveryEvent::input_unusable, some_error()),
                IsOk());
    return id;
  };
  const InstanceId by_uid = quarantined(1, 11);
  const InstanceId by_study = quarantined(2, 12);
  const InstanceId by_instance = quarantined(3, 13);
  const InstanceId by_delivery = quarantined(4, 14);
  const Filled stuck = batch_in(BatchState::stuck);
  const Filled stuck_by_uid = batch_in(BatchState::stuck);

  EXPECT_EQ(ledger_->order_retry("1.2.826.9.1").value(), 1);
  EXPECT_EQ(delivery(by_uid).state, DeliveryState::waiting);
  EXPECT_EQ(delivery(by_study).state, DeliveryState::quarantined);
  EXPECT_EQ(ledger_->order_retry("1.2.826.12").value(), 1);
  EXPECT_EQ(ledger_->order_retry(by_instance.text()).value(), 1);
  EXPECT_EQ(ledger_->order_retry(delivery(by_delivery).id.text()).value(), 1);
  EXPECT_EQ(ledger_->order_retry(stuck.batch.text()).value(), 1);
  EXPECT_EQ(batch(stuck.batch).state, BatchState::abandoned);
  EXPECT_EQ(ledger_->order_retry("1.2.826.9.1001").value(), 1);
  EXPECT_EQ(batch(stuck_by_uid.batch).state, BatchState::abandoned);
  EXPECT_THAT(*ledger_->asks(10), IsEmpty());
}

TEST_F(LedgerPeople, WhatIsDiscardedAsksNobodyAndKeepsItsReason) {
  const InstanceId phantom = receive(1);
  const InstanceId waiting = receive(2);
  ASSERT_THAT(ledger_->quarantine(delivery(phantom).id, DeliveryEvent::input_unusable,
                                  some_error("unusable")),
              IsOk());

  EXPECT_EQ(ledger_->order_discard("1.2.826.1", "a phantom (ordered by desk)").value(), 1);

  EXPECT_EQ(delivery(phantom).state, DeliveryState::discarded);
  EXPECT_EQ(delivery(phantom).reason_code, "discarded");
  EXPECT_EQ(delivery(phantom).reason, "a phantom (ordered by desk)");
  EXPECT_EQ(delivery(waiting).state, DeliveryState::waiting);
  EXPECT_THAT(*ledger_->asks(10), IsEmpty());
  EXPECT_EQ(ledger_->order_retry("all").value(), 0);
  EXPECT_EQ(ledger_->order_discard("1.2.826.1", "again").value(), 0);
  std::vector<std::string> whys;
  const auto story = ledger_->history(phantom.text(), 100).value();
  for (const HistoryEntry& entry : story) whys.push_back(entry.why);
  EXPECT_THAT(whys, testing::IsSupersetOf({"unusable: The bucket asks for fewer requests.",
                                           "discarded: a phantom (ordered by desk)"}));
  EXPECT_EQ(ledger_->studies(1)->front().discarded, 1);
  expect_sound();
}

TEST_F(LedgerPeople, NothingIsDiscardedWithoutAReasonThatCanBeShown) {
  const DeliveryId held = delivery_in(DeliveryState::quarantined);

  for (const std::string& reason : {std::string(), std::string("a\nb"), std::string(501, 'a')}) {
    EXPECT_THAT(ledger_->order_discard(held.text(), reason), FailsWith("ledger.bad_reason"));
  }
  EXPECT_THAT(ledger_->order_discard("1.2.3", "a phantom"), FailsWith("ledger.not_found"));
  EXPECT_EQ(count_of("delivery", "quarantined")->count, 1);
}

TEST_F(LedgerPeople, AnOrderForAnUnknownNameSaysSo) {
  receive(1);

  EXPECT_THAT(ledger_->order_retry("1.2.3"), FailsWith("ledger.not_found"));
  EXPECT_EQ(ledger_->order_retry("1.2.826.9.1").value(), 0);
}

TEST_F(LedgerPeople, ARetriedInstanceCanBeImportedAfterAll) {
  const Filled settled = batch_in(BatchState::settled);
  ASSERT_THAT(ledger_->record_outcomes(settled.batch, outcomes(settled, OutcomeKind::rejected)),
              IsOk());
  ASSERT_EQ(ledger_->order_retry(settled.deliveries[0].text()).value(), 1);

  const BatchId second = ledger_->join(kCloud, std::nullopt, settled.deliveries).value();
  ASSERT_THAT(ledger_->advance(second, BatchEvent::seal, nullptr), IsOk());
  ASSERT_THAT(ledger_->mark_staged(settled.deliveries[0], ""), IsOk());
  ASSERT_THAT(ledger_->conclude_staging(kCloud), IsOk());
  const auto intent = ledger_->intend(second, "").value();
  ASSERT_THAT(ledger_->job_started(intent.id, {"second", ""}, now()), IsOk());
  ASSERT_THAT(ledger_->job_ended(intent.id, ImportJobEvent::ended_well, "", "", now()), IsOk());
  ASSERT_THAT(ledger_->record_outcomes(second, outcomes(settled, OutcomeKind::imported)), IsOk());

  EXPECT_EQ(delivery(settled.instances[0]).state, DeliveryState::imported);
  EXPECT_EQ(delivery(settled.instances[0]).reason_code, "");
  EXPECT_THAT(ledger_->studies(1)->front().import_job_ids, SizeIs(2));
  expect_sound();
}

}  // namespace
}  // namespace isthmus::test
