#include "unit/pipeline/world.h"

namespace isthmus::test {
namespace {

using Call = MemoryImportService::Call;

std::unique_ptr<Step> watcher_of(World& world, std::int64_t attempts = 10) {
  WatcherOptions options;
  options.attempts = attempts;
  return make_watcher(world.env, world.ledger, world.destination, options);
}

// Polls until `batch` is not out any more, or so many times.
void poll(World& world, Step& watcher, const BatchId& batch, int times) {
  for (int i = 0; i < times && world.batch_state(batch) == BatchState::submitted; ++i) {
    world.env.clock.advance(75s);
    EXPECT_THAT(watcher.run_once(), IsOk());
  }
}

TEST(Watcher, AsksEverMoreRarely) {
  World world;
  world.service.set_polls_until_end(100);
  world.submitted(1);
  const auto watcher = watcher_of(world);
  world.env.clock.advance(1s);

  for (const double expected : {1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0}) {
    ASSERT_OK_AND_ASSIGN(const NextRun next, watcher->run_once());
    const auto date = *world.ledger.jobs()[0].next_poll_at - world.now();
    const double seconds = static_cast<double>(date.count()) / 1000.0;
    EXPECT_GE(seconds, 0.8 * expected - 0.002);
    EXPECT_LE(seconds, 1.2 * expected + 0.002);
    EXPECT_EQ(next.in, std::min<Milliseconds>(date, 30s));
    world.env.clock.advance(date);
  }
}

TEST(Watcher, DoesNotAskBeforeTheDate) {
  World world;
  world.submitted(1);

  ASSERT_OK_AND_ASSIGN(const NextRun next, watcher_of(world)->run_once());

  EXPECT_EQ(next.in, 1s);
  EXPECT_EQ(world.service.calls(Call::status), 0);
}

TEST(Watcher, AJobThatEndedWellSettlesItsBatch) {
  World world;
  const BatchId batch = world.submitted(1);

  poll(world, *watcher_of(world), batch, 10);

  EXPECT_EQ(world.batch_state(batch), BatchState::settled);
  const ImportJob job = world.ledger.jobs()[0];
  EXPECT_EQ(job.state, ImportJobState::succeeded);
  EXPECT_EQ(job.remote->output_prefix, world.service.jobs()[0].remote.output_prefix);
  EXPECT_LE(*world.batch(batch).next_attempt_at, world.now());
  EXPECT_TRUE(world.env.log.contains("info import.ended job=" + job.intent.id.text()));
}

TEST(Watcher, AJobThatFailedGivesTheBatchAFreshOneLater) {
  World world;
  world.service.fail_jobs(1, "Internal error.");
  const BatchId batch = world.submitted(1);

  poll(world, *watcher_of(world), batch, 10);

  const Batch after = world.batch(batch);
  EXPECT_EQ(after.state, BatchState::staged);
  EXPECT_EQ(after.attempts, 1);
  EXPECT_GE(*after.next_attempt_at, world.now() + 50ms);
  EXPECT_LE(*after.next_attempt_at, world.now() + 1s);
  EXPECT_EQ(world.ledger.jobs()[0].state, ImportJobState::failed);
  EXPECT_EQ(world.ledger.jobs()[0].message, "Internal error.");
}

TEST(Watcher, JobsThatKeepFailingAskForAPerson) {
  World world;
  world.service.fail_jobs(3, "Internal error.");
  const BatchId batch = world.staged(1);
  const auto submitter = make_submitter(world.env, world.ledger, world.destination, {});
  const auto watcher = watcher_of(world, 3);

  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(submitter->run_once(), IsOk());
    ASSERT_EQ(world.batch_state(batch), BatchState::submitted);
    poll(world, *watcher, batch, 10);
    world.env.clock.advance(60s);
  }

  EXPECT_EQ(world.batch_state(batch), BatchState::stuck);
  EXPECT_EQ(world.batch(batch).reason_code, "import.job_failed");
  EXPECT_EQ(world.batch(batch).reason, "Internal error.");
  EXPECT_EQ(world.service.jobs().size(), 3u);
  EXPECT_EQ(world.metric("batch_stuck_total", {{"destination", "cloud"}, {"step", "watcher"}}), 1);
}

TEST(Watcher, AJobThatTheServiceDoesNotKnowIsLostOnlyWhenItSaysSoAgainAndAgain) {
  World world;
  const BatchId batch = world.submitted(1);
  world.service.forget(world.service.jobs()[0].remote);
  const auto watcher = watcher_of(world);
  poll(world, *watcher, batch, 2);
  ASSERT_EQ(world.batch_state(batch), BatchState::submitted);

  poll(world, *watcher, batch, 1);

  EXPECT_EQ(world.ledger.jobs()[0].state, ImportJobState::lost);
  EXPECT_EQ(world.batch_state(batch), BatchState::staged);
  EXPECT_EQ(world.batch(batch).attempts, 1);
}

TEST(Watcher, AnAnswerInBetweenMakesNotFoundStartOver) {
  World world;
  world.service.set_polls_until_end(1);
  const Error not_found = permanent_error("import.not_found", "No such job.");
  const BatchId batch = world.submitted(1);
  const auto watcher = watcher_of(world);
  world.service.refuse(Call::status, not_found, 2);
  poll(world, *watcher, batch, 3);
  world.service.refuse(Call::status, not_found, 2);

  poll(world, *watcher, batch, 10);

  EXPECT_EQ(world.batch_state(batch), BatchState::settled);
}

TEST(Watcher, AJobThatIsFoundByItsNameIsNotLost) {
  World world;
  const BatchId batch = world.submitted(1);
  const auto watcher = watcher_of(world);
  world.service.refuse(Call::status, permanent_error("import.not_found", "No such job."), 5);

  poll(world, *watcher, batch, 20);

  EXPECT_EQ(world.batch_state(batch), BatchState::settled);
  EXPECT_EQ(world.ledger.jobs().size(), 1u);
}

TEST(Watcher, WhileItCannotAskByNameAJobIsNotLost) {
  World world;
  const BatchId batch = world.submitted(1);
  world.service.forget(world.service.jobs()[0].remote);
  world.service.refuse(Call::find, MemoryImportService::unavailable(), 2);
  const auto watcher = watcher_of(world);

  poll(world, *watcher, batch, 4);
  EXPECT_EQ(world.batch_state(batch), BatchState::submitted);
  poll(world, *watcher, batch, 1);

  EXPECT_EQ(world.batch_state(batch), BatchState::staged);
}

TEST(Watcher, AnErrorLeavesTheJobRunningWithADate) {
  World world;
  const BatchId batch = world.submitted(1);
  Error throttled = MemoryImportService::throttled();
  throttled.retry_after = 25s;
  world.service.refuse(Call::status, throttled);
  world.env.clock.advance(1s);

  ASSERT_OK_AND_ASSIGN(const NextRun next, watcher_of(world)->run_once());

  EXPECT_EQ(next.in, 25s);
  EXPECT_EQ(world.batch_state(batch), BatchState::submitted);
  EXPECT_TRUE(world.env.log.contains("warn import.status_failed"));
}

TEST(Watcher, AJobThatWeMayNotAskForIsNeitherFailedNorForgotten) {
  World world;
  const BatchId batch = world.submitted(1);
  world.service.refuse(Call::status, permanent_error("import.denied", "No."), 3);
  const auto watcher = watcher_of(world);

  poll(world, *watcher, batch, 3);
  EXPECT_EQ(world.batch_state(batch), BatchState::submitted);
  EXPECT_TRUE(world.env.log.contains("error import.status_failed"));
  poll(world, *watcher, batch, 10);

  EXPECT_EQ(world.batch_state(batch), BatchState::settled);
}

TEST(Watcher, AFatalErrorReachesTheRunner) {
  World world;
  world.submitted(1);
  world.env.clock.advance(1s);
  world.service.refuse(Call::status, fatal_error("disk.io", "The disk is gone."));

  EXPECT_THAT(watcher_of(world)->run_once(), FailsWith("disk.io", Fate::fatal));
}

TEST(Watcher, AJobThatMovedMeanwhileIsLeftAlone) {
  World world;
  world.service.set_polls_until_end(0);
  world.submitted(1);
  world.env.clock.advance(1s);
  world.ledger.refuse("job_ended", permanent_error("ledger.no_transition", "Somebody was first."));

  EXPECT_THAT(watcher_of(world)->run_once(), IsOk());

  EXPECT_TRUE(world.env.log.contains("warn step.row_moved step=watcher"));
  EXPECT_FALSE(world.env.log.contains("import.ended"));
}

TEST(Watcher, LongMessagesAreCut) {
  World world;
  world.service.fail_jobs(1, std::string(5000, 'x'));
  const BatchId batch = world.submitted(1);

  poll(world, *watcher_of(world), batch, 10);

  EXPECT_EQ(world.ledger.jobs()[0].message.size(), 500u);
}

TEST(Watcher, LedgerErrorsReachTheRunner) {
  const auto watcher = [](World& world) { return watcher_of(world, 1); };
  expect_ledger_errors_reach_the_runner(
      {"due_jobs", "postpone_poll", "next_poll_at"},
      [](World& world) {
        world.submitted(1);
        world.env.clock.advance(1s);
      },
      watcher);
  expect_ledger_errors_reach_the_runner(
      {"job_ended", "batch", "advance"},
      [](World& world) {
        world.service.set_polls_until_end(0);
        world.service.fail_jobs(1, "Internal error.");
        world.submitted(1);
        world.env.clock.advance(1s);
      },
      watcher);
}

}  // namespace
}  // namespace isthmus::test
