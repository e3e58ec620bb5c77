// What may be given back, and that it is claimed before it is.
#include "contract/ledger/ledger_fixture.h"

namespace isthmus::test {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class LedgerSweeping : public LedgerTest {};

TEST_F(LedgerSweeping, EndedBatchesHaveObjectsUntilTheirRemovalIsNoted) {
  const Filled reconciled = batch_in(BatchState::reconciled);
  const Filled abandoned = batch_in(BatchState::abandoned);
  batch_in(BatchState::staged);
  batch_in(BatchState::stuck);

  EXPECT_THAT(*ledger_->batches_with_objects(kCloud, in(-1), 10), IsEmpty());
  ASSERT_OK_AND_ASSIGN(const auto ended, ledger_->batches_with_objects(kCloud, now(), 10));
  ASSERT_THAT(ended, SizeIs(2));
  EXPECT_THAT(*ledger_->batches_with_objects(kCloud, now(), 1), SizeIs(1));
  EXPECT_THAT(*ledger_->batches_with_objects("another", now(), 10), IsEmpty());
  for (const Filled& filled : {reconciled, abandoned}) {
    EXPECT_THAT(ledger_->note_objects_removed(filled.batch), IsOk());
    EXPECT_THAT(ledger_->note_objects_removed(filled.batch), FailsWith("ledger.no_transition"));
  }
  EXPECT_THAT(*ledger_->batches_with_objects(kCloud, now(), 10), IsEmpty());
}

TEST_F(LedgerSweeping, ObjectsOfABatchOnItsWayAreNotRemoved) {
  for (const BatchState state : all_batch_states()) {
    if (is_final(state)) continue;
    EXPECT_THAT(ledger_->note_objects_removed(batch_in(state).batch),
                FailsWith("ledger.no_transition"))
        << to_string(state);
  }
}

TEST_F(LedgerSweeping, AnInstanceIsSweepableWhenItWasImportedLongEnoughAgo) {
  const Filled done = batch_in(BatchState::reconciled, 2);
  for (const DeliveryState state : all_delivery_states()) {
    if (!is_final(state)) delivery_in(state);
  }
  EXPECT_THAT(*ledger_->sweepable(in(-1), 10), IsEmpty());

  ASSERT_OK_AND_ASSIGN(const auto sweepable, ledger_->sweepable(now(), 10));

  ASSERT_THAT(sweepable, SizeIs(2));
  EXPECT_EQ(sweepable[0].instance, done.instances[0]);
  EXPECT_EQ(sweepable[0].spool_ref.text, "ab/" + done.instances[0].text() + ".dcm");
  EXPECT_THAT(*ledger_->sweepable(now(), 1), SizeIs(1));
}

TEST_F(LedgerSweeping, WhatWasDiscardedKeepsItsBytesForTheRetention) {
  const InstanceId id = receive(1);
  ASSERT_THAT(ledger_->quarantine(delivery(id).id, DeliveryEvent::input_unusable, some_error()),
              IsOk());
  EXPECT_THAT(ledger_->claim_freeing(id), FailsWith("ledger.no_transition"));
  ASSERT_EQ(ledger_->order_discard(id.text(), "a phantom").value(), 1);

  EXPECT_THAT(*ledger_->sweepable(in(-1), 10), IsEmpty());
  EXPECT_THAT(*ledger_->sweepable(now(), 10), SizeIs(1));
  EXPECT_THAT(ledger_->claim_freeing(id), IsOk());
  EXPECT_THAT(ledger_->note_freed(id), IsOk());
  expect_sound();
}

TEST_F(LedgerSweeping, AllDestinationsMustHaveImportedIt) {
  close();
  open({kCloud, "second"});
  const InstanceId id = receive(1);
  const auto import_to = [&](const char* destination) {
    const auto waiting = ledger_->waiting_deliveries(destination, now(), 1).value();
    ASSERT_THAT(waiting, SizeIs(1));
    const BatchId batch = ledger_->join(destination, std::nullopt, {waiting[0].id}).value();
    ASSERT_THAT(ledger_->advance(batch, BatchEvent::seal, nullptr), IsOk());
    ASSERT_THAT(ledger_->mark_staged(waiting[0].id, ""), IsOk());
    ASSERT_THAT(ledger_->conclude_staging(destination), IsOk());
    const auto intent = ledger_->intend(batch, "").value();
    ASSERT_THAT(ledger_->job_started(intent.id, {"remote", ""}, now()), IsOk());
    ASSERT_THAT(ledger_->job_ended(intent.id, ImportJobEvent::ended_well, "", "", now()), IsOk());
    ASSERT_THAT(ledger_->record_outcomes(batch, {outcome(waiting[0].id, OutcomeKind::imported)}),
                IsOk());
  };

  import_to(kCloud);
  EXPECT_THAT(*ledger_->sweepable(now(), 10), IsEmpty());
  EXPECT_THAT(ledger_->claim_freeing(id), FailsWith("ledger.no_transition"));
  advance_clock(100);
  import_to("second");

  EXPECT_THAT(*ledger_->sweepable(in(-1), 10), IsEmpty());
  EXPECT_THAT(*ledger_->sweepable(now(), 10), SizeIs(1));
  EXPECT_THAT(ledger_->claim_freeing(id), IsOk());
  expect_sound();
}

TEST_F(LedgerSweeping, OnlyImportedAndDiscardedInstancesCanBeClaimed) {
  for (const DeliveryState state : all_delivery_states()) {
    const DeliveryId id = delivery_in(state);
    InstanceId instance;
    for (int n = 1000; instance.empty(); ++n) {
      const auto views = ledger_->instances("1.2.826.9." + std::to_string(n), 1).value();
      ASSERT_THAT(views, SizeIs(1));
      if (views[0].deliveries[0].id == id) instance = views[0].instance.id;
    }

    const Result<SpoolRef> claimed = ledger_->claim_freeing(instance);

    EXPECT_EQ(claimed.ok(), is_final(state)) << to_string(state);
  }
}

TEST_F(LedgerSweeping, AClaimIsGoneOnWithAfterARestartAndConcludedOnce) {
  const Filled done = batch_in(BatchState::reconciled);
  const InstanceId id = done.instances[0];
  EXPECT_THAT(ledger_->note_freed(id), FailsWith("ledger.no_transition"));
  ASSERT_THAT(ledger_->claim_freeing(id), IsOk());
  EXPECT_THAT(ledger_->claim_freeing(id), FailsWith("ledger.no_transition"));

  close();
  open();

  EXPECT_THAT(*ledger_->sweepable(now(), 10), IsEmpty());
  ASSERT_OK_AND_ASSIGN(const auto claimed, ledger_->being_freed());
  ASSERT_THAT(claimed, SizeIs(1));
  EXPECT_EQ(claimed[0].instance, id);
  advance_clock(5);
  ASSERT_THAT(ledger_->note_freed(id), IsOk());
  const WallTime freed_at = now();
  EXPECT_THAT(*ledger_->being_freed(), IsEmpty());
  advance_clock(5);
  EXPECT_THAT(ledger_->note_freed(id), IsOk()) << "a restart may conclude what was concluded";
  EXPECT_EQ(ledger_->instance(id).value()->freed_at, freed_at);
}

}  // namespace
}  // namespace isthmus::test
