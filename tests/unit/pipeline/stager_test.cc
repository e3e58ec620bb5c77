#include <condition_variable>
#include <mutex>

#include "unit/pipeline/world.h"

namespace isthmus::test {
namespace {

using Call = MemoryObjectStore::Call;

std::unique_ptr<Step> stager_of(World& world, std::size_t uploads = 1, std::int64_t attempts = 20) {
  StagerOptions options;
  options.uploads = uploads;
  options.attempts = attempts;
  return make_stager(world.env, world.ledger, world.spool, world.destination, options);
}

TEST(Stager, PutsTheFileUnderItsKeyAndNotesIt) {
  World world;
  const BatchId batch = world.sealed(1);
  const InstanceId instance = world.deliveries()[0].instance;

  EXPECT_THAT(stager_of(world)->run_once(), IsOk());

  EXPECT_EQ(world.store.bytes_of(layout::staged_object("gw", batch, instance)), "bytes of 1");
  EXPECT_EQ(world.in_state(DeliveryState::staged), 1);
  EXPECT_EQ(world.batch_state(batch), BatchState::staged);
  EXPECT_EQ(world.metric("deliveries_staged_total", {{"destination", "cloud"}}), 1);
  EXPECT_EQ(world.metric("staged_bytes_total", {{"destination", "cloud"}}), 10);
  EXPECT_TRUE(world.env.log.contains("info delivery.staged delivery="));
  EXPECT_TRUE(world.env.log.contains("info batch.staged batch=" + batch.text()));
}

TEST(Stager, UploadsSeveralAtATime) {
  World world;
  world.sealed(3);
  std::mutex mutex;
  std::condition_variable all_are_in;
  int inside = 0;
  bool together = true;
  world.store.set_hook([&](Call, const ObjectKey&) -> std::optional<Error> {
    std::unique_lock lock(mutex);
    ++inside;
    all_are_in.notify_all();
    // A limit for a broken stager only: a working one is through at once.
    together = all_are_in.wait_for(lock, 20s, [&] { return inside == 3; }) && together;
    return std::nullopt;
  });

  EXPECT_THAT(stager_of(world, 3)->run_once(), IsOk());

  EXPECT_TRUE(together);
  EXPECT_EQ(world.in_state(DeliveryState::staged), 3);
}

TEST(Stager, FinishesEveryUploadBeforeItReturns) {
  World world;
  world.sealed(40);

  ASSERT_OK_AND_ASSIGN(const NextRun next, stager_of(world, 4)->run_once());

  EXPECT_EQ(world.in_state(DeliveryState::staged), 40);
  EXPECT_EQ(next.in, 30s);
}

TEST(Stager, ComesBackAtOnceWhenThereIsMoreThanARunsWork) {
  World world;
  world.sealed(17);

  ASSERT_OK_AND_ASSIGN(const NextRun next, stager_of(world, 1)->run_once());

  EXPECT_EQ(next.in, 0ms);
  EXPECT_EQ(world.in_state(DeliveryState::staged), 16);
}

TEST(Stager, ADamagedCopyIsQuarantinedAndItsNeighboursGoOn) {
  World world;
  const BatchId batch = world.sealed(3);
  const Delivery damaged = world.deliveries()[1];
  world.spool.damage(damaged.instance);

  EXPECT_THAT(stager_of(world)->run_once(), IsOk());

  const Delivery after = *world.ledger.delivery(damaged.id);
  EXPECT_EQ(after.state, DeliveryState::quarantined);
  EXPECT_EQ(after.reason_code, "store.bad_digest");
  EXPECT_EQ(world.in_state(DeliveryState::staged), 2);
  EXPECT_EQ(world.batch_state(batch), BatchState::staged);
  EXPECT_EQ(world.batch(batch).members, 2);
  EXPECT_TRUE(world.env.log.contains("error delivery.quarantined"));
  EXPECT_TRUE(world.env.log.contains("event=input_unusable"));
}

TEST(Stager, BytesThatAreGoneAreQuarantined) {
  World world;
  world.sealed(2);
  const Delivery gone = world.deliveries()[0];
  world.spool.vanish(gone.instance);

  EXPECT_THAT(stager_of(world)->run_once(), IsOk());

  EXPECT_EQ(world.ledger.delivery(gone.id)->state, DeliveryState::quarantined);
  EXPECT_EQ(world.ledger.delivery(gone.id)->reason_code, "spool.not_found");
}

TEST(Stager, ABatchThatLostAllItsMembersIsAbandoned) {
  World world;
  const BatchId batch = world.sealed(1);
  world.spool.vanish(world.deliveries()[0].instance);

  EXPECT_THAT(stager_of(world)->run_once(), IsOk());

  EXPECT_EQ(world.batch_state(batch), BatchState::abandoned);
}

TEST(Stager, ATransientErrorPostponesWithADateAndIsTriedAgain) {
  World world;
  const BatchId batch = world.sealed(1);
  world.store.refuse(Call::put, MemoryObjectStore::unavailable());
  const auto stager = stager_of(world);

  ASSERT_OK_AND_ASSIGN(const NextRun next, stager->run_once());

  const Delivery postponed = world.deliveries()[0];
  EXPECT_EQ(postponed.state, DeliveryState::waiting);
  EXPECT_EQ(postponed.attempts, 1);
  EXPECT_EQ(postponed.reason_code, "store.unavailable");
  EXPECT_GE(*postponed.next_attempt_at, world.now() + 50ms);
  EXPECT_LE(*postponed.next_attempt_at, world.now() + 1s);
  EXPECT_EQ(next.in, *postponed.next_attempt_at - world.now());
  EXPECT_EQ(world.batch_state(batch), BatchState::sealed);
  world.env.clock.advance(next.in);
  EXPECT_THAT(stager->run_once(), IsOk());
  EXPECT_EQ(world.batch_state(batch), BatchState::staged);
}

TEST(Stager, WaitsAsLongAsTheBucketAsks) {
  World world;
  world.sealed(1);
  Error slow_down = MemoryObjectStore::slow_down();
  slow_down.retry_after = 90s;
  world.store.refuse(Call::put, slow_down);

  EXPECT_THAT(stager_of(world)->run_once(), IsOk());

  EXPECT_EQ(*world.deliveries()[0].next_attempt_at, world.now() + 90s);
}

TEST(Stager, AttemptsThatAreUsedUpEndInQuarantine) {
  World world;
  const BatchId batch = world.sealed(1);
  world.store.refuse(Call::put, MemoryObjectStore::unavailable(), 3);
  const auto stager = stager_of(world, 1, 3);

  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(stager->run_once(), IsOk());
    world.env.clock.advance(60s);
  }

  EXPECT_EQ(world.deliveries()[0].state, DeliveryState::quarantined);
  EXPECT_EQ(world.deliveries()[0].reason_code, "store.unavailable");
  EXPECT_TRUE(world.env.log.contains("event=attempts_exhausted"));
  EXPECT_EQ(world.batch_state(batch), BatchState::abandoned);
}

// Found by the simulation, seed 49 of its first evening: a job imports all that lies under the
// prefix.
TEST(Stager, WhoIsQuarantinedLeavesNoObjectInTheBatch) {
  World world;
  world.sealed(2);
  world.store.lose_answer(Call::put, MemoryObjectStore::unavailable());

  EXPECT_THAT(stager_of(world, 1, 1)->run_once(), IsOk());

  EXPECT_EQ(world.in_state(DeliveryState::quarantined), 1);
  EXPECT_EQ(world.in_state(DeliveryState::staged), 1);
  EXPECT_EQ(world.store.size(), 1u);
}

TEST(Stager, NobodyIsQuarantinedWhileItsObjectMayBeInTheBatch) {
  World world;
  const BatchId batch = world.sealed(1);
  world.spool.damage(world.deliveries()[0].instance);
  world.store.refuse(Call::remove, MemoryObjectStore::unavailable());
  const auto stager = stager_of(world);

  EXPECT_THAT(stager->run_once(), IsOk());

  EXPECT_EQ(world.deliveries()[0].state, DeliveryState::waiting);
  EXPECT_TRUE(world.deliveries()[0].next_attempt_at.has_value());
  EXPECT_EQ(world.batch_state(batch), BatchState::sealed);
  world.env.clock.advance(10s);
  EXPECT_THAT(stager->run_once(), IsOk());
  EXPECT_EQ(world.deliveries()[0].state, DeliveryState::quarantined);
  EXPECT_EQ(world.deliveries()[0].reason_code, "store.bad_digest");
}

TEST(Stager, DeniedAccessIsTheDestinationsTroubleNotTheInstances) {
  World world;
  world.sealed(1);
  world.store.refuse(Call::put, permanent_error("store.denied", "No."));

  EXPECT_THAT(stager_of(world)->run_once(), IsOk());

  EXPECT_EQ(world.deliveries()[0].state, DeliveryState::waiting);
  EXPECT_EQ(world.deliveries()[0].attempts, 1);
}

TEST(Stager, APutWhoseAnswerWasLostIsRepeatedUnderTheSameKey) {
  World world;
  const BatchId batch = world.sealed(1);
  world.store.lose_answer(Call::put, MemoryObjectStore::unavailable());
  const auto stager = stager_of(world);
  EXPECT_THAT(stager->run_once(), IsOk());
  ASSERT_EQ(world.store.size(), 1u);
  world.env.clock.advance(1s);

  EXPECT_THAT(stager->run_once(), IsOk());

  EXPECT_EQ(world.store.size(), 1u);
  EXPECT_EQ(world.batch_state(batch), BatchState::staged);
}

TEST(Stager, AnOutageDoesNotUseUpTheAttemptsOfAllThatIsQueued) {
  World world;
  world.sealed(10);
  world.store.refuse(Call::put, MemoryObjectStore::unavailable(), 1000);
  const auto stager = stager_of(world);

  ASSERT_OK_AND_ASSIGN(const NextRun next, stager->run_once());

  EXPECT_EQ(world.store.calls(Call::put), 2);
  EXPECT_GT(next.in, 0ms);
  ASSERT_OK_AND_ASSIGN(const NextRun again, stager->run_once());
  EXPECT_EQ(again.in, next.in);
  EXPECT_EQ(world.store.calls(Call::put), 2);
  world.env.clock.advance(next.in);
  EXPECT_THAT(stager->run_once(), IsOk());
  EXPECT_EQ(world.store.calls(Call::put), 3);  // a probe
  EXPECT_EQ(world.deliveries()[2].attempts, 0);
  EXPECT_TRUE(world.env.log.contains("warn destination.out destination=cloud"));
}

TEST(Stager, OneThatFailsByItselfDoesNotPauseTheOthers) {
  World world;
  world.sealed(10);
  const ObjectKey poison =
      layout::staged_object("gw", *world.deliveries()[4].batch, world.deliveries()[4].instance);
  world.store.set_hook([&](Call, const ObjectKey& key) -> std::optional<Error> {
    if (key == poison) return MemoryObjectStore::unavailable();
    return std::nullopt;
  });

  EXPECT_THAT(stager_of(world)->run_once(), IsOk());

  EXPECT_EQ(world.in_state(DeliveryState::staged), 9);
}

TEST(Stager, ConcludesWhatADeadProcessHadStagedToTheLast) {
  World world;
  const BatchId batch = world.sealed(1);
  ASSERT_THAT(world.ledger.mark_staged(world.deliveries()[0].id, "e"), IsOk());
  world.ledger.reopen();

  EXPECT_THAT(stager_of(world)->run_once(), IsOk());

  EXPECT_EQ(world.batch_state(batch), BatchState::staged);
  EXPECT_EQ(world.store.calls(Call::put), 0);
}

TEST(Stager, ASpoolThatLiesIsFatal) {
  World world;
  world.sealed(1);
  world.spool.set_hook([](MemorySpool::Call, const SpoolRef&) -> std::optional<Error> {
    return fatal_error("disk.io", "The disk is gone.");
  });

  EXPECT_THAT(stager_of(world)->run_once(), FailsWith("disk.io", Fate::fatal));

  EXPECT_EQ(world.in_state(DeliveryState::waiting), 1);
}

TEST(Stager, AStoreThatLiesIsFatal) {
  World world;
  world.sealed(1);
  world.spool.vanish(world.deliveries()[0].instance);
  world.store.refuse(Call::remove, fatal_error("disk.io", "The disk is gone."));

  EXPECT_THAT(stager_of(world)->run_once(), FailsWith("disk.io", Fate::fatal));
}

TEST(Stager, TakesNoFurtherItemOnceTheLedgerFailed) {
  World world;
  world.sealed(10);
  world.ledger.refuse("mark_staged", fatal_error("ledger.io", "The disk is gone."));

  EXPECT_THAT(stager_of(world)->run_once(), FailsWith("ledger.io"));

  EXPECT_EQ(world.store.calls(Call::put), 1);
}

TEST(Stager, ADeliveryThatMovedMeanwhileIsLeftAlone) {
  for (const char* call : {"mark_staged", "postpone", "quarantine"}) {
    SCOPED_TRACE(call);
    World world;
    world.sealed(1);
    const bool refused = call == std::string("postpone");
    if (refused) world.store.refuse(Call::put, MemoryObjectStore::unavailable());
    if (call == std::string("quarantine")) world.spool.vanish(world.deliveries()[0].instance);
    world.ledger.refuse(call, permanent_error("ledger.not_found", "Gone."));

    EXPECT_THAT(stager_of(world)->run_once(), IsOk());

    EXPECT_TRUE(world.env.log.contains("warn step.row_moved step=stager"));
    EXPECT_EQ(world.metric("deliveries_staged_total", {{"destination", "cloud"}}), 0);
    EXPECT_EQ(world.metric("staging_quarantined_total", {{"destination", "cloud"}}), 0);
  }
}

// --- preflight
// ------------------------------------------------------------------------------------
// Something speaks against the file "bad".
class PickyPreflight : public Preflight {
 public:
  Result<std::vector<Error>> examine(ByteSource& file) override {
    TRY_ASSIGN(const std::string text, read_all(file, KiB));
    if (text != "bad") return std::vector<Error>();
    return std::vector<Error>{permanent_error("preflight.uid_syntax", "(0020,000D) is no UID.")};
  }
};

std::unique_ptr<Step> picky_stager(World& world, Preflight& preflight, PreflightMode mode) {
  StagerOptions options;
  options.uploads = 1;
  options.preflight = &preflight;
  options.preflight_mode = mode;
  return make_stager(world.env, world.ledger, world.spool, world.destination, options);
}

void seal_good_and_bad(World& world) {
  world.receive("1.2.3", 1, "good");
  world.receive("1.2.3", 2, "bad");
  world.received = 2;
  world.sealed(0);
}

TEST(Stager, WhatPreflightFindsIsKeptForAPersonBeforeAnythingIsUploaded) {
  World world;
  PickyPreflight preflight;
  seal_good_and_bad(world);

  EXPECT_THAT(picky_stager(world, preflight, PreflightMode::quarantine)->run_once(), IsOk());

  EXPECT_EQ(world.in_state(DeliveryState::staged), 1);
  EXPECT_EQ(world.in_state(DeliveryState::quarantined), 1);
  EXPECT_EQ(world.store.calls(Call::put), 1);
  EXPECT_TRUE(world.env.log.contains("code=preflight.uid_syntax"));
}

TEST(Stager, APersonMayHaveItSentAllTheSame) {
  World world;
  PickyPreflight preflight;
  seal_good_and_bad(world);
  const auto stager = picky_stager(world, preflight, PreflightMode::quarantine);
  EXPECT_THAT(stager->run_once(), IsOk());
  ASSERT_EQ(world.in_state(DeliveryState::quarantined), 1);

  ASSERT_THAT(world.ledger.order_retry("all"), IsOk());
  const auto batcher = make_batcher(world.env, world.ledger, world.destination, {});
  EXPECT_THAT(batcher->run_once(), IsOk());
  world.env.clock.advance(10s);
  EXPECT_THAT(batcher->run_once(), IsOk());
  EXPECT_THAT(stager->run_once(), IsOk());

  EXPECT_EQ(world.in_state(DeliveryState::staged), 2);
  EXPECT_TRUE(world.env.log.contains("warn delivery.preflight"));
}

TEST(Stager, PreflightThatWarnsSendsItAndOneThatIsOffDoesNotLook) {
  for (const PreflightMode mode : {PreflightMode::warn, PreflightMode::off}) {
    World world;
    PickyPreflight preflight;
    seal_good_and_bad(world);

    EXPECT_THAT(picky_stager(world, preflight, mode)->run_once(), IsOk());

    EXPECT_EQ(world.in_state(DeliveryState::staged), 2);
    EXPECT_EQ(world.env.log.contains("warn delivery.preflight"), mode == PreflightMode::warn);
  }
}

TEST(Stager, BytesAreFetchedFromTheSpoolOnceForAllThatIsDoneWithThem) {
  for (const std::size_t size_bytes : {std::size_t{4}, std::size_t{3 * MiB}}) {
    SCOPED_TRACE(size_bytes);
    World world;
    PickyPreflight preflight;
    world.receive("1.2.3", 1, std::string(size_bytes, 'b'));
    const BatchId batch = world.sealed(0);
    int opened = 0;
    world.spool.set_hook([&](MemorySpool::Call call, const SpoolRef&) -> std::optional<Error> {
      opened += call == MemorySpool::Call::open ? 1 : 0;
      return std::nullopt;
    });

    EXPECT_THAT(picky_stager(world, preflight, PreflightMode::warn)->run_once(), IsOk());

    EXPECT_EQ(opened, 1);
    EXPECT_EQ(
        world.store.bytes_of(layout::staged_object("gw", batch, world.deliveries()[0].instance)),
        std::string(size_bytes, 'b'));
  }
}

TEST(Stager, LedgerErrorsReachTheRunner) {
  expect_ledger_errors_reach_the_runner(
      {"staging_items", "mark_staged", "conclude_staging", "next_staging_at"},
      [](World& world) { world.sealed(1); }, [](World& world) { return stager_of(world); });
  expect_ledger_errors_reach_the_runner(
      {"postpone"},
      [](World& world) {
        world.sealed(1);
        world.store.refuse(Call::put, MemoryObjectStore::unavailable());
      },
      [](World& world) { return stager_of(world); });
  expect_ledger_errors_reach_the_runner(
      {"quarantine"},
      [](World& world) {
        world.sealed(1);
        world.spool.vanish(world.deliveries()[0].instance);
      },
      [](World& world) { return stager_of(world); });
}

}  // namespace
}  // namespace isthmus::test
