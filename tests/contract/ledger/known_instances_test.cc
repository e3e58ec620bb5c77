// What becomes of an instance that is received once more, or under a UID that is known: on the real
// ledger and on the one in memory, by record() and by rows that follow their promises.
#include "contract/ledger/ledger_fixture.h"
#include "ledger/spool_rows.h"
#include "support/memory_ledger.h"

namespace isthmus::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

struct Way {
  const char* name;
  bool on_disk;
  bool rows_follow;
};

class KnownInstances : public LedgerTest, public testing::WithParamInterface<Way> {
 protected:
  void SetUp() override { open_with({kCloud, "archive"}); }

  void open_with(std::vector<std::string> destinations, std::vector<std::string> quarantine = {}) {
    close();
    if (!GetParam().on_disk) {
      ledger_ = std::make_unique<MemoryLedger>(env_, std::move(destinations), quarantine);
      return;
    }
    LedgerOptions options;
    options.directory = env_.folder() / "ledger";
    options.destinations = std::move(destinations);
    options.quarantine_conflicts_at = std::move(quarantine);
    auto opened = open_sqlite_ledger(env_, options);
    ASSERT_THAT(opened, IsOk());
    ledger_ = std::move(opened).value();
  }

  Receipt take(const Arrival& arrival) {
    if (!GetParam().rows_follow) {
      const auto receipt = ledger_->record(arrival, nullptr);
      EXPECT_THAT(receipt, IsOk());
      return *receipt;
    }
    const auto receipts = ledger_->spool_rows().follow({&arrival, 1}, {++sequence_, 1});
    EXPECT_THAT(receipts, IsOk());
    return receipts->front();
  }
  Arrival routed(Arrival arrival, std::vector<std::string> destinations) {
    arrival.destinations = std::move(destinations);
    return arrival;
  }
  // "destination state reason", in order of destinations.
  std::vector<std::string> deliveries(const InstanceId& id) {
    std::vector<std::string> all;
    const auto views = ledger_->instances(id.text(), 1);
    EXPECT_THAT(views, IsOk());
    for (const Delivery& delivery : views->at(0).deliveries) {
      all.push_back(delivery.destination + " " + std::string(to_string(delivery.state)) +
                    (delivery.reason_code.empty() ? "" : " " + delivery.reason_code));
      const bool moves = delivery.state == DeliveryState::waiting;
      EXPECT_EQ(delivery.next_attempt_at.has_value(), moves) << all.back();
    }
    std::sort(all.begin(), all.end());
    return all;
  }
  Instance instance(const InstanceId& id) { return ledger_->instance(id).value().value(); }

  void import_to(const std::string& destination) {
    const auto waiting = ledger_->waiting_deliveries(destination, now(), 10).value();
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
  }
  // Sent to `kCloud` alone and imported there.
  Arrival imported() {
    const Arrival sent = routed(arrival(1), {kCloud});
    EXPECT_FALSE(take(sent).known);
    import_to(kCloud);
    return sent;
  }
  void free_bytes(const InstanceId& id) {
    ASSERT_THAT(ledger_->claim_freeing(id), IsOk());
    ASSERT_THAT(ledger_->note_freed(id), IsOk());
  }

  std::uint64_t sequence_ = 0;
};

TEST_P(KnownInstances, TheSameBytesAgainMakeNothing) {
  const Arrival sent = arrival(1);
  take(sent);

  const Receipt again = take(arrival(1));

  EXPECT_TRUE(again.known);
  EXPECT_FALSE(again.bytes_taken);
  EXPECT_EQ(again.id, sent.id);
  EXPECT_THAT(deliveries(sent.id), ElementsAre("archive waiting", "cloud waiting"));
  EXPECT_EQ(instance(sent.id).spool_ref, sent.spool_ref);
  expect_sound();
}

TEST_P(KnownInstances, ADestinationThatItHasNotGoneToGetsItsDelivery) {
  const Arrival sent = routed(arrival(1), {kCloud});
  take(sent);

  const Receipt again = take(routed(arrival(1), {"archive"}));

  EXPECT_TRUE(again.known);
  EXPECT_FALSE(again.bytes_taken);
  EXPECT_EQ(again.id, sent.id);
  EXPECT_THAT(deliveries(sent.id), ElementsAre("archive waiting", "cloud waiting"));
  EXPECT_THAT(ledger_->waiting_deliveries("archive", now(), 10).value(), SizeIs(1));
  EXPECT_THAT(events_of(sent.id.text()), ElementsAre("received", "received_again"));
  EXPECT_TRUE(take(routed(arrival(1), {"archive", kCloud})).known);
  EXPECT_THAT(deliveries(sent.id), SizeIs(2));
  expect_sound();
}

TEST_P(KnownInstances, AnArrivalThatNamesNoneIsForAllThatAreConfigured) {
  const Arrival sent = routed(arrival(1), {kCloud});
  take(sent);

  take(arrival(1));

  EXPECT_THAT(deliveries(sent.id), ElementsAre("archive waiting", "cloud waiting"));
}

TEST_P(KnownInstances, BytesAreNotFreedBeforeTheNewDestinationHasThem) {
  const Arrival sent = imported();
  ASSERT_THAT(ledger_->sweepable(now(), 10).value(), SizeIs(1));

  const Receipt again = take(routed(arrival(1), {"archive"}));

  EXPECT_FALSE(again.bytes_taken);
  EXPECT_THAT(ledger_->sweepable(now(), 10).value(), IsEmpty());
  EXPECT_THAT(ledger_->claim_freeing(sent.id), FailsWith("ledger.no_transition"));
  EXPECT_THAT(deliveries(sent.id), ElementsAre("archive waiting", "cloud imported"));
  advance_clock(100);
  import_to("archive");
  EXPECT_THAT(ledger_->sweepable(in(-1), 10).value(), IsEmpty());
  EXPECT_THAT(ledger_->sweepable(now(), 10).value(), SizeIs(1));
  expect_sound();
}

TEST_P(KnownInstances, WhatWasFreedTakesTheBytesThatCameForAnotherDestination) {
  const Arrival sent = imported();
  free_bytes(sent.id);
  Arrival more = routed(arrival(1), {"archive"});
  more.size_bytes = 1010;  // another sender, another file meta
  more.dataset_offset_bytes = 410;
  more.file_digest = sha256("another head");

  const Receipt again = take(more);

  EXPECT_TRUE(again.known);
  EXPECT_TRUE(again.bytes_taken);
  EXPECT_EQ(again.id, sent.id);
  EXPECT_THAT(deliveries(sent.id), ElementsAre("archive waiting", "cloud imported"));
  const Instance now_held = instance(sent.id);
  EXPECT_EQ(now_held.spool_ref, more.spool_ref);
  EXPECT_EQ(now_held.size_bytes, 1010u);
  EXPECT_EQ(now_held.dataset_offset_bytes, 410u);
  EXPECT_EQ(now_held.file_digest, more.file_digest);
  EXPECT_EQ(now_held.received_at, sent.received_at);
  EXPECT_EQ(now_held.freed_at, std::nullopt);
  EXPECT_TRUE(ledger_->spool_rows().names(more.spool_ref).value());
  EXPECT_THAT(events_of(sent.id.text()), Contains("received_again"));
  EXPECT_THAT(ledger_->sweepable(now(), 10).value(), IsEmpty());
  import_to("archive");
  free_bytes(sent.id);
  EXPECT_FALSE(ledger_->spool_rows().names(more.spool_ref).value());
  expect_sound();
}

TEST_P(KnownInstances, WhatWasFreedAndIsWantedNowhereElseStaysFreed) {
  const Arrival sent = imported();
  free_bytes(sent.id);

  const Receipt again = take(routed(arrival(1), {kCloud}));

  EXPECT_TRUE(again.known);
  EXPECT_FALSE(again.bytes_taken);
  EXPECT_TRUE(instance(sent.id).freed_at);
}

TEST_P(KnownInstances, AClaimThatIsOvertakenFreesTheOldBytesAndConcludesNothing) {
  const Arrival sent = imported();
  EXPECT_EQ(ledger_->claim_freeing(sent.id).value(), sent.spool_ref);
  const Arrival more = routed(arrival(1), {"archive"});

  EXPECT_TRUE(take(more).bytes_taken);

  EXPECT_THAT(ledger_->being_freed().value(), IsEmpty());
  EXPECT_THAT(ledger_->note_freed(sent.id), FailsWith("ledger.no_transition"));
  EXPECT_FALSE(ledger_->spool_rows().names(sent.spool_ref).value());
  EXPECT_TRUE(ledger_->spool_rows().names(more.spool_ref).value());
  EXPECT_THAT(deliveries(sent.id), ElementsAre("archive waiting", "cloud imported"));
  expect_sound();
}

TEST_P(KnownInstances, BytesThatWereTakenAreNotGivenUpWhenTheirArrivalIsSeenAgain) {
  const Arrival sent = imported();
  free_bytes(sent.id);
  const Arrival more = routed(arrival(1), {"archive"});
  ASSERT_TRUE(take(more).bytes_taken);

  EXPECT_TRUE(take(more).bytes_taken);
}

TEST_P(KnownInstances, WhatWasDiscardedAsksAPersonAgainWhenItComesAgain) {
  for (const bool freed : {false, true}) {
    open_with({kCloud}, {});
    const Arrival sent = arrival(freed ? 2 : 1);
    take(sent);
    const DeliveryId id = ledger_->instances(sent.id.text(), 1)->front().deliveries.front().id;
    ASSERT_THAT(ledger_->quarantine(id, DeliveryEvent::input_unusable, some_error()), IsOk());
    ASSERT_EQ(ledger_->order_discard(sent.id.text(), "a phantom").value(), 1);
    if (freed) free_bytes(sent.id);

    const Arrival again = arrival(freed ? 2 : 1);
    EXPECT_EQ(take(again).bytes_taken, freed);

    EXPECT_THAT(deliveries(sent.id), ElementsAre("cloud quarantined discarded_before"));
    EXPECT_THAT(ledger_->sweepable(now(), 10).value(), IsEmpty());
    EXPECT_EQ(instance(sent.id).spool_ref, freed ? again.spool_ref : sent.spool_ref);
    EXPECT_EQ(ledger_->order_retry(sent.id.text()).value(), 1);
    EXPECT_THAT(deliveries(sent.id), ElementsAre("cloud waiting"));
    expect_sound();
  }
}

TEST_P(KnownInstances, BytesThatWereFoundGoneOrDamagedAreReplacedByWhatComesAgain) {
  for (const char* code : {"spool.not_found", "spool.damaged", "store.bad_digest"}) {
    open_with({kCloud, "archive"});
    const Arrival sent = routed(arrival(1), {kCloud});
    take(sent);
    const auto waiting = ledger_->waiting_deliveries(kCloud, now(), 10).value();
    ASSERT_THAT(waiting, SizeIs(1));
    const BatchId batch = ledger_->join(kCloud, std::nullopt, {waiting[0].id}).value();
    ASSERT_THAT(ledger_->quarantine(waiting[0].id, DeliveryEvent::input_unusable, some_error(code)),
                IsOk());
    Arrival more = routed(arrival(1), {kCloud});
    more.size_bytes = 1010;
    more.dataset_offset_bytes = 410;

    const Receipt again = take(more);

    EXPECT_TRUE(again.known);
    EXPECT_TRUE(again.bytes_taken) << code;
    EXPECT_EQ(instance(sent.id).spool_ref, more.spool_ref);
    EXPECT_EQ(instance(sent.id).size_bytes, 1010u);
    EXPECT_TRUE(ledger_->spool_rows().names(more.spool_ref).value());
    EXPECT_FALSE(ledger_->spool_rows().names(sent.spool_ref).value());
    EXPECT_THAT(deliveries(sent.id), ElementsAre("cloud waiting"));
    EXPECT_THAT(events_of(sent.id.text()), ElementsAre("received", "received_again"));
    EXPECT_TRUE(take(more).bytes_taken) << "seen again at a start";
    EXPECT_FALSE(take(routed(arrival(1), {kCloud})).bytes_taken) << "these are whole";
    expect_sound();
    std::filesystem::remove_all(env_.folder() / "ledger");
  }
}

TEST_P(KnownInstances, BytesAreNotReplacedForOtherReasonsToAskAPerson) {
  const Arrival sent = routed(arrival(1), {kCloud});
  take(sent);
  const auto waiting = ledger_->waiting_deliveries(kCloud, now(), 10).value();
  ASSERT_THAT(ledger_->join(kCloud, std::nullopt, {waiting.at(0).id}), IsOk());
  ASSERT_THAT(ledger_->quarantine(waiting.at(0).id, DeliveryEvent::attempts_exhausted,
                                  some_error("s3.access_denied")),
              IsOk());

  const Receipt again = take(routed(arrival(1), {kCloud}));

  EXPECT_FALSE(again.bytes_taken);
  EXPECT_EQ(instance(sent.id).spool_ref, sent.spool_ref);
  EXPECT_THAT(deliveries(sent.id), ElementsAre("cloud quarantined s3.access_denied"));
}

TEST_P(KnownInstances, OtherBytesUnderTheSameUidGoOnOrWaitAsTheDestinationSays) {
  open_with({kCloud, "archive"}, {"archive"});
  const Arrival first = arrival(1);
  take(first);

  const Arrival other = arrival(1, 1, "other");
  EXPECT_FALSE(take(other).known);

  EXPECT_EQ(instance(other.id).conflicts_with, first.id);
  EXPECT_FALSE(instance(other.id).identity_conflict);
  EXPECT_THAT(deliveries(first.id), ElementsAre("archive waiting", "cloud waiting"));
  EXPECT_THAT(deliveries(other.id), ElementsAre("archive quarantined conflict", "cloud waiting"));
  ASSERT_OK_AND_ASSIGN(const auto asks, ledger_->asks(10));
  ASSERT_THAT(asks, SizeIs(1));
  EXPECT_EQ(asks[0].reason_code, "conflict");
  EXPECT_EQ(ledger_->order_retry(other.id.text()).value(), 1);
  EXPECT_THAT(deliveries(other.id), ElementsAre("archive waiting", "cloud waiting"));
  expect_sound();
}

TEST_P(KnownInstances, AnotherStudyOrPatientWaitsEverywhere) {
  open_with({kCloud, "archive"}, {"archive"});
  take(arrival(1));

  const Arrival other = arrival(1, 2, "other");
  take(other);

  EXPECT_TRUE(instance(other.id).identity_conflict);
  EXPECT_THAT(deliveries(other.id), ElementsAre("archive quarantined identity_conflict",
                                                "cloud quarantined identity_conflict"));
  expect_sound();
}

TEST_P(KnownInstances, ADeliveryThatIsAddedHeedsConflictsAsANewOneDoes) {
  open_with({kCloud, "archive"}, {"archive"});
  const Arrival first = routed(arrival(1), {kCloud});
  const Arrival other = routed(arrival(1, 1, "other"), {kCloud});
  const Arrival stranger = routed(arrival(1, 2, "stranger"), {kCloud});
  for (const Arrival* one : {&first, &other, &stranger}) take(*one);

  take(routed(arrival(1, 1, "other"), {"archive"}));
  take(routed(arrival(1, 2, "stranger"), {"archive"}));
  take(routed(arrival(1), {"archive"}));

  EXPECT_THAT(deliveries(other.id), ElementsAre("archive quarantined conflict", "cloud waiting"));
  EXPECT_THAT(deliveries(stranger.id), ElementsAre("archive quarantined identity_conflict",
                                                   "cloud quarantined identity_conflict"));
  // Now it is the first one that comes to a place where other bytes are waiting.
  EXPECT_THAT(deliveries(first.id), ElementsAre("archive quarantined conflict", "cloud waiting"));
  expect_sound();
}

INSTANTIATE_TEST_SUITE_P(Ways, KnownInstances,
                         testing::Values(Way{"OnDisk", true, false}, Way{"InMemory", false, false},
                                         Way{"OnDiskRowsFollow", true, true},
                                         Way{"InMemoryRowsFollow", false, true}),
                         [](const auto& way) { return std::string(way.param.name); });

}  // namespace
}  // namespace isthmus::test
