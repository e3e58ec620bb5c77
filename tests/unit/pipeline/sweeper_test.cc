#include "unit/pipeline/world.h"

namespace isthmus::test {
namespace {

using Call = MemoryObjectStore::Call;

std::unique_ptr<Step> sweeper_of(World& world, SweeperOptions options = {}) {
  return make_sweeper(world.env, world.ledger, world.spool, {&world.destination}, options);
}

TEST(Sweeper, RemovesTheStagedObjectsOfAReconciledBatch) {
  World world;
  const BatchId batch = world.reconciled(3);
  ASSERT_EQ(world.store.size(), 3u);
  world.env.clock.advance(1s);

  ASSERT_OK_AND_ASSIGN(const NextRun next, sweeper_of(world)->run_once());

  EXPECT_EQ(world.store.size(), 0u);
  EXPECT_EQ(next.in, 60s);
  EXPECT_EQ(world.metric("objects_removed_total", {}), 3);
  EXPECT_TRUE(world.env.log.contains("info batch.objects_removed batch=" + batch.text()));
  EXPECT_TRUE(world.ledger.batches_with_objects("cloud", world.now(), 10)->empty());
}

TEST(Sweeper, KeepsWhatTheJobLeft) {
  World world;
  const BatchId batch = world.reconciled(1);
  const std::string output =
      layout::job_output_prefix("gw", batch, world.ledger.jobs()[0].intent.id);
  world.store.plant({output + "job-output-manifest.json"}, "{}");
  world.env.clock.advance(1s);

  EXPECT_THAT(sweeper_of(world)->run_once(), IsOk());

  ASSERT_EQ(world.store.size(), 1u);
  EXPECT_EQ(world.store.keys()[0].text, output + "job-output-manifest.json");
}

TEST(Sweeper, RemovesNothingThatTheStagerDidNotMake) {
  World world;
  const BatchId batch = world.reconciled(1);
  world.store.plant({layout::batch_prefix("gw", batch) + "notes.txt"}, "not ours");
  world.env.clock.advance(1s);

  EXPECT_THAT(sweeper_of(world)->run_once(), IsOk());

  EXPECT_EQ(world.store.size(), 1u);
}

TEST(Sweeper, KeepsTheObjectsOfABatchThatIsNotAtItsEnd) {
  World world;
  world.settled(2);
  world.env.clock.advance(24h);

  EXPECT_THAT(sweeper_of(world)->run_once(), IsOk());

  EXPECT_EQ(world.store.size(), 2u);
}

TEST(Sweeper, KeepsObjectsForTheirRetention) {
  World world;
  world.reconciled(1);
  SweeperOptions options;
  options.object_retention = 1h;
  const auto sweeper = sweeper_of(world, options);
  world.env.clock.advance(59min);
  EXPECT_THAT(sweeper->run_once(), IsOk());
  ASSERT_EQ(world.store.size(), 1u);
  world.env.clock.advance(2min);

  EXPECT_THAT(sweeper->run_once(), IsOk());

  EXPECT_EQ(world.store.size(), 0u);
}

TEST(Sweeper, FreesSpoolBytesAfterRetention) {
  World world;
  world.reconciled(1);
  const InstanceId instance = world.deliveries()[0].instance;
  const auto sweeper = sweeper_of(world);
  world.env.clock.advance(23h);
  EXPECT_THAT(sweeper->run_once(), IsOk());
  ASSERT_TRUE(world.spool.holds(instance));
  world.env.clock.advance(1h);

  EXPECT_THAT(sweeper->run_once(), IsOk());

  EXPECT_FALSE(world.spool.holds(instance));
  EXPECT_TRUE((*world.ledger.instance(instance))->freed_at.has_value());
  EXPECT_EQ(world.metric("instances_freed_total", {}), 1);
}

TEST(Sweeper, KeepsBytesThatWereNotImported) {
  World world;
  world.service.say_by_default({MemoryImportService::Said::rejected});
  world.reconciled(2);
  world.env.clock.advance(1000h);

  EXPECT_THAT(sweeper_of(world)->run_once(), IsOk());

  EXPECT_TRUE(world.spool.holds(world.deliveries()[0].instance));
  EXPECT_TRUE(world.spool.holds(world.deliveries()[1].instance));
}

TEST(Sweeper, KeepsBytesThatAnotherDestinationStillNeeds) {
  World world(World::roomy(), {"cloud", "archive"});
  world.reconciled(1);
  world.env.clock.advance(1000h);

  EXPECT_THAT(sweeper_of(world)->run_once(), IsOk());

  EXPECT_TRUE(world.spool.holds(world.deliveries()[0].instance));
}

TEST(Sweeper, GoesOnWithWhatADeadProcessHadClaimed) {
  World world;
  world.reconciled(1);
  const InstanceId instance = world.deliveries()[0].instance;
  ASSERT_THAT(world.ledger.claim_freeing(instance), IsOk());
  world.ledger.reopen();

  EXPECT_THAT(sweeper_of(world)->run_once(), IsOk());

  EXPECT_FALSE(world.spool.holds(instance));
  EXPECT_TRUE((*world.ledger.instance(instance))->freed_at.has_value());
}

TEST(Sweeper, ConcludesWhatADeadProcessHadFreed) {
  World world;
  world.reconciled(1);
  const InstanceId instance = world.deliveries()[0].instance;
  ASSERT_THAT(world.ledger.claim_freeing(instance), IsOk());
  world.spool.vanish(instance);

  EXPECT_THAT(sweeper_of(world)->run_once(), IsOk());

  EXPECT_TRUE(world.ledger.being_freed()->empty());
}

TEST(Sweeper, WhatCouldNotBeFreedStaysClaimed) {
  World world;
  world.reconciled(1);
  world.env.clock.advance(25h);
  bool broken = true;
  world.spool.set_hook([&](MemorySpool::Call, const SpoolRef&) -> std::optional<Error> {
    if (broken) return transient_error("spool.io", "Not now.");
    return std::nullopt;
  });
  const auto sweeper = sweeper_of(world);
  EXPECT_THAT(sweeper->run_once(), IsOk());
  ASSERT_EQ(world.ledger.being_freed()->size(), 1u);
  EXPECT_TRUE(world.env.log.contains("warn instance.not_freed"));
  broken = false;

  EXPECT_THAT(sweeper->run_once(), IsOk());

  EXPECT_FALSE(world.spool.holds(world.deliveries()[0].instance));
  EXPECT_TRUE(world.ledger.being_freed()->empty());
}

TEST(Sweeper, ABucketThatIsOutDoesNotKeepTheSpoolFull) {
  for (const Call call : {Call::list, Call::remove}) {
    World world;
    const BatchId batch = world.reconciled(1);
    world.env.clock.advance(25h);
    world.store.refuse(call, MemoryObjectStore::unavailable());
    const auto sweeper = sweeper_of(world);

    EXPECT_THAT(sweeper->run_once(), IsOk());

    EXPECT_FALSE(world.spool.holds(world.deliveries()[0].instance));
    EXPECT_EQ(world.store.size(), 1u);
    EXPECT_TRUE(world.env.log.contains("warn batch.objects_not_removed batch=" + batch.text()));
    EXPECT_THAT(sweeper->run_once(), IsOk());
    EXPECT_EQ(world.store.size(), 0u);
  }
}

TEST(Sweeper, RemovesMoreThanOneListing) {
  World world;
  const BatchId batch = world.reconciled(1);
  for (int i = 0; i < 1500; ++i) {
    world.store.plant(layout::staged_object("gw", batch, InstanceId::make(world.env)), "x");
  }
  world.env.clock.advance(1s);

  EXPECT_THAT(sweeper_of(world)->run_once(), IsOk());

  EXPECT_EQ(world.store.size(), 0u);
}

TEST(Sweeper, ComesBackAtOnceForTheNextPage) {
  World world;
  for (int i = 0; i < 16; ++i) world.reconciled(1, "1.2." + std::to_string(i + 1));
  world.env.clock.advance(1s);

  ASSERT_OK_AND_ASSIGN(const NextRun next, sweeper_of(world)->run_once());

  EXPECT_EQ(next.in, 0ms);
}

TEST(Sweeper, FatalErrorsReachTheRunner) {
  World world;
  world.reconciled(1);
  world.env.clock.advance(25h);
  world.store.refuse(Call::list, fatal_error("disk.io", "The disk is gone."));
  EXPECT_THAT(sweeper_of(world)->run_once(), FailsWith("disk.io", Fate::fatal));
  world.spool.set_hook([](MemorySpool::Call, const SpoolRef&) -> std::optional<Error> {
    return fatal_error("disk.io", "The disk is gone.");
  });

  EXPECT_THAT(sweeper_of(world)->run_once(), FailsWith("disk.io", Fate::fatal));
}

TEST(Sweeper, WhatMovedMeanwhileIsLeftAlone) {
  World world;
  world.reconciled(1);
  world.env.clock.advance(25h);
  world.ledger.refuse("claim_freeing", permanent_error("ledger.no_transition", "No."));
  world.ledger.refuse("note_objects_removed", permanent_error("ledger.not_found", "No."));

  EXPECT_THAT(sweeper_of(world)->run_once(), IsOk());

  EXPECT_TRUE(world.spool.holds(world.deliveries()[0].instance));
}

TEST(Sweeper, LedgerErrorsReachTheRunner) {
  expect_ledger_errors_reach_the_runner(
      {"being_freed", "batches_with_objects", "note_objects_removed", "sweepable", "claim_freeing",
       "note_freed"},
      [](World& world) {
        world.reconciled(1);
        world.env.clock.advance(25h);
      },
      [](World& world) { return sweeper_of(world); });
}

}  // namespace
}  // namespace isthmus::test
