#include "unit/pipeline/world.h"

namespace isthmus::test {
namespace {

std::unique_ptr<Step> batcher_of(World& world, BatcherOptions options = {}) {
  return make_batcher(world.env, world.ledger, world.destination, options);
}

TEST(Batcher, GathersAStudyIntoOneOpenBatch) {
  World world;
  world.receive_some(3);

  EXPECT_THAT(batcher_of(world)->run_once(), IsOk());

  const auto open = world.batches(BatchState::open);
  ASSERT_EQ(open.size(), 1u);
  EXPECT_EQ(open[0].members, 3);
  EXPECT_EQ(open[0].study_instance_uid, uid("1.2.3"));
}

TEST(Batcher, KeepsStudiesApart) {
  World world;
  world.receive_some(2, "1.2.3");
  world.receive_some(1, "1.2.4");

  EXPECT_THAT(batcher_of(world)->run_once(), IsOk());

  EXPECT_EQ(world.batches(BatchState::open).size(), 2u);
}

BatcherOptions with_stat_study(const std::string& study) {
  BatcherOptions options;
  options.lane_of = [study](const WaitingDelivery& delivery) {
    return delivery.study_instance_uid == uid(study) ? Lane::stat : Lane::routine;
  };
  return options;
}

TEST(Batcher, WhatCannotWaitHasBatchesOfItsOwn) {
  World world;
  world.receive_some(1, "1.2.3");
  BatcherOptions options;
  bool urgent = false;
  options.lane_of = [&urgent](const WaitingDelivery&) {
    return urgent ? Lane::stat : Lane::routine;
  };
  const auto batcher = batcher_of(world, options);
  EXPECT_THAT(batcher->run_once(), IsOk());
  world.receive_some(2, "1.2.3");  // the same study, from another sender, say
  urgent = true;

  EXPECT_THAT(batcher->run_once(), IsOk());

  const auto open = world.batches(BatchState::open);
  ASSERT_EQ(open.size(), 2u);
  EXPECT_EQ(open[0].lane, Lane::routine);
  EXPECT_EQ(open[0].members, 1);
  EXPECT_EQ(open[1].lane, Lane::stat);
  EXPECT_EQ(open[1].members, 2);
}

TEST(Batcher, ALaneIsGoneOnWithAfterARestart) {
  World world;
  world.receive_some(1, "1.2.3");
  EXPECT_THAT(batcher_of(world, with_stat_study("1.2.3"))->run_once(), IsOk());
  world.receive_some(1, "1.2.3");

  EXPECT_THAT(batcher_of(world, with_stat_study("1.2.3"))->run_once(), IsOk());

  const auto open = world.batches(BatchState::open);
  ASSERT_EQ(open.size(), 1u);
  EXPECT_EQ(open[0].members, 2);
}

TEST(Batcher, SealsWhenNothingJoinedForTheQuietTime) {
  World world;
  world.receive_some(1);
  const auto batcher = batcher_of(world);
  ASSERT_OK_AND_ASSIGN(const NextRun first, batcher->run_once());
  EXPECT_EQ(first.in, 10s);
  world.env.clock.advance(9'999ms);
  ASSERT_OK_AND_ASSIGN(const NextRun second, batcher->run_once());
  EXPECT_EQ(second.in, 1ms);
  ASSERT_EQ(world.batches(BatchState::open).size(), 1u);
  world.env.clock.advance(1ms);

  EXPECT_THAT(batcher->run_once(), IsOk());

  EXPECT_EQ(world.batches(BatchState::sealed).size(), 1u);
  EXPECT_EQ(world.metric("batches_sealed_total", {{"destination", "cloud"}}), 1);
  EXPECT_TRUE(world.env.log.contains("info batch.sealed batch="));
}

// The join's date is later than the beginning of the run that made it.
TEST(Batcher, TimeThatPassesWhileItJoinsDoesNotSeal) {
  World world;
  world.receive_some(3);
  world.env.clock.tick_at_each_reading(1ms);

  EXPECT_THAT(batcher_of(world)->run_once(), IsOk());

  EXPECT_EQ(world.batches(BatchState::open).size(), 1u);
  EXPECT_TRUE(world.batches(BatchState::sealed).empty());
}

TEST(Batcher, JoinsNoMoreOftenThanTheQuietTimeNeeds) {
  World world;

  EXPECT_EQ(batcher_of(world, {.quiet = 60s, .max_age = 60s})->spacing(), 1s);
  EXPECT_EQ(batcher_of(world, {.quiet = 500ms, .max_age = 60s})->spacing(), 50ms);
  EXPECT_EQ(batcher_of(world, {.quiet = 0s, .max_age = 60s})->spacing(), 20ms);
}

TEST(Batcher, WhoJoinsKeepsTheBatchOpen) {
  World world;
  world.receive_some(1);
  const auto batcher = batcher_of(world);
  EXPECT_THAT(batcher->run_once(), IsOk());
  world.env.clock.advance(9s);
  world.receive_some(1);

  EXPECT_THAT(batcher->run_once(), IsOk());
  world.env.clock.advance(9s);
  EXPECT_THAT(batcher->run_once(), IsOk());

  ASSERT_EQ(world.batches(BatchState::open).size(), 1u);
  EXPECT_EQ(world.batches(BatchState::open)[0].members, 2);
}

TEST(Batcher, SealsAtMaxAgeHoweverManyStillArrive) {
  World world;
  const auto batcher = batcher_of(world);
  for (int i = 0; i < 60; ++i) {
    world.receive_some(1);
    EXPECT_THAT(batcher->run_once(), IsOk());
    world.env.clock.advance(5s);
  }
  ASSERT_TRUE(world.batches(BatchState::sealed).empty());

  EXPECT_THAT(batcher->run_once(), IsOk());

  EXPECT_EQ(world.batches(BatchState::sealed).size(), 1u);
}

TEST(Batcher, SealsAtTheFilesOfAJob) {
  ImportLimits limits;
  limits.files_per_job = 2;
  World world(limits);
  world.receive_some(5);

  EXPECT_THAT(batcher_of(world)->run_once(), IsOk());

  const auto sealed = world.batches(BatchState::sealed);
  ASSERT_EQ(sealed.size(), 2u);
  EXPECT_EQ(sealed[0].members, 2);
  EXPECT_EQ(sealed[1].members, 2);
  ASSERT_EQ(world.batches(BatchState::open).size(), 1u);
  EXPECT_EQ(world.batches(BatchState::open)[0].members, 1);
}

TEST(Batcher, SealsAFullBatchWithoutWaitingForTheNextArrival) {
  ImportLimits limits;
  limits.files_per_job = 3;
  World world(limits);
  world.receive_some(3);

  EXPECT_THAT(batcher_of(world)->run_once(), IsOk());

  EXPECT_EQ(world.batches(BatchState::sealed).size(), 1u);
}

TEST(Batcher, SealsAtTheBytesOfAJob) {
  ImportLimits limits;
  limits.bytes_per_job = 100;
  World world(limits);
  world.receive("1.2.3", 1, std::string(60, 'a'));
  world.receive("1.2.3", 2, std::string(60, 'b'));
  world.receive("1.2.3", 3, std::string(30, 'c'));

  EXPECT_THAT(batcher_of(world)->run_once(), IsOk());

  const auto sealed = world.batches(BatchState::sealed);
  ASSERT_EQ(sealed.size(), 1u);
  EXPECT_EQ(sealed[0].size_bytes, 60u);
  EXPECT_EQ(world.batches(BatchState::open)[0].size_bytes, 90u);
}

TEST(Batcher, OneThatIsLargerThanAJobGetsABatchAlone) {
  ImportLimits limits;
  limits.bytes_per_job = 100;
  World world(limits);
  world.receive("1.2.3", 1, std::string(20, 'a'));
  world.receive("1.2.3", 2, std::string(300, 'b'));
  world.receive("1.2.3", 3, std::string(20, 'c'));

  EXPECT_THAT(batcher_of(world)->run_once(), IsOk());

  const auto sealed = world.batches(BatchState::sealed);
  ASSERT_EQ(sealed.size(), 2u);
  EXPECT_EQ(sealed[0].size_bytes, 20u);
  EXPECT_EQ(sealed[1].size_bytes, 300u);
  EXPECT_EQ(sealed[1].members, 1);
}

TEST(Batcher, LateImagesJoinTheNextBatch) {
  World world;
  const BatchId first = world.sealed(2);
  world.receive_some(1);

  EXPECT_THAT(batcher_of(world)->run_once(), IsOk());

  ASSERT_EQ(world.batches(BatchState::open).size(), 1u);
  EXPECT_NE(world.batches(BatchState::open)[0].id, first);
  EXPECT_EQ(world.batch(first).members, 2);
}

TEST(Batcher, GoesOnWithTheOpenBatchOfADeadProcess) {
  World world;
  world.receive_some(1);
  EXPECT_THAT(batcher_of(world)->run_once(), IsOk());
  world.ledger.reopen();
  world.receive_some(1);

  EXPECT_THAT(batcher_of(world)->run_once(), IsOk());

  ASSERT_EQ(world.batches(BatchState::open).size(), 1u);
  EXPECT_EQ(world.batches(BatchState::open)[0].members, 2);
}

struct RetriedBatch : ::testing::Test {
  // Two of a study were imported without a word about them, and are due again; one is fresh.
  RetriedBatch() {
    world.service.say_by_default({MemoryImportService::Said::missing});
    world.reconciled(2);
    world.env.clock.advance(600s);
    world.receive_some(1);
  }
  World world;
};

TEST_F(RetriedBatch, IsNotMixedWithFreshOnes) {
  EXPECT_THAT(batcher_of(world)->run_once(), IsOk());

  const auto open = world.batches(BatchState::open);
  ASSERT_EQ(open.size(), 2u);
  EXPECT_EQ(open[0].members, 1);
  EXPECT_EQ(open[1].members, 2);
}

TEST_F(RetriedBatch, IsKnownAsSuchByTheNextProcess) {
  EXPECT_THAT(batcher_of(world)->run_once(), IsOk());
  world.ledger.reopen();
  world.receive_some(2);

  EXPECT_THAT(batcher_of(world)->run_once(), IsOk());

  const auto open = world.batches(BatchState::open);
  ASSERT_EQ(open.size(), 2u);
  EXPECT_EQ(open[0].members, 3);
  EXPECT_EQ(open[1].members, 2);
}

TEST(Batcher, AClockThatWasSetBackDoesNotKeepABatchOpen) {
  World world;
  world.receive_some(1);
  const auto batcher = batcher_of(world);
  EXPECT_THAT(batcher->run_once(), IsOk());
  world.env.clock.advance(-24h);

  EXPECT_THAT(batcher->run_once(), IsOk());

  EXPECT_EQ(world.batches(BatchState::sealed).size(), 1u);
}

TEST(Batcher, ComesBackAtOnceForTheNextPage) {
  World world;
  world.receive_some(1001);

  ASSERT_OK_AND_ASSIGN(const NextRun next, batcher_of(world)->run_once());

  EXPECT_EQ(next.in, 0ms);
  EXPECT_EQ(world.batches(BatchState::open)[0].members, 1000);
}

TEST(Batcher, WithNothingToDoItWaits) {
  World world;

  ASSERT_OK_AND_ASSIGN(const NextRun next, batcher_of(world)->run_once());

  EXPECT_EQ(next.in, 30s);
}

TEST(Batcher, ABatchThatMovedMeanwhileIsLeftAlone) {
  World world;
  world.receive_some(1);
  const auto batcher = batcher_of(world);
  EXPECT_THAT(batcher->run_once(), IsOk());
  world.env.clock.advance(10s);
  world.ledger.refuse("advance", permanent_error("ledger.no_transition", "Somebody was first."));

  EXPECT_THAT(batcher->run_once(), IsOk());

  EXPECT_EQ(world.metric("batches_sealed_total", {{"destination", "cloud"}}), 0);
}

TEST(Batcher, LedgerErrorsReachTheRunner) {
  expect_ledger_errors_reach_the_runner(
      {"waiting_deliveries", "batches", "join", "advance", "next_waiting_at"},
      [](World& world) { world.receive_some(1); },
      [](World& world) {
        return batcher_of(world, {0ms, 0ms});
      });
  expect_ledger_errors_reach_the_runner(
      {"expected"},
      [](World& world) {
        world.receive_some(1);
        EXPECT_THAT(batcher_of(world)->run_once(), IsOk());
        world.receive_some(1);
      },
      [](World& world) { return batcher_of(world); });
}

}  // namespace
}  // namespace isthmus::test
