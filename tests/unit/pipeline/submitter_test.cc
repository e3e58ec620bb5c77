#include "unit/pipeline/world.h"

namespace isthmus::test {
namespace {

using Call = MemoryImportService::Call;

std::unique_ptr<Step> submitter_of(World& world, std::int64_t attempts = 10) {
  SubmitterOptions options;
  options.attempts = attempts;
  return make_submitter(world.env, world.ledger, world.destination, options);
}

TEST(Submitter, StartsAJobOverAStagedBatchAndNotesIt) {
  World world;
  const BatchId batch = world.staged(2);

  EXPECT_THAT(submitter_of(world)->run_once(), IsOk());

  ASSERT_EQ(world.service.jobs().size(), 1u);
  const ImportJob job = world.ledger.jobs().at(0);
  EXPECT_EQ(job.state, ImportJobState::running);
  EXPECT_EQ(job.remote->id, world.service.jobs()[0].remote.id);
  EXPECT_EQ(job.intent.input_prefix, layout::batch_prefix("gw", batch));
  EXPECT_EQ(*job.next_poll_at, world.now() + 1s);
  EXPECT_EQ(world.batch_state(batch), BatchState::submitted);
  EXPECT_EQ(world.metric("jobs_started_total", {{"destination", "cloud"}}), 1);
  EXPECT_TRUE(world.env.log.contains("info import.started job=" + job.intent.id.text()));
}

TEST(Submitter, TheIntentIsThereBeforeTheCall) {
  World world;
  world.staged(1);
  std::size_t intents_at_the_call = 0;
  world.service.set_hook([&](Call call) -> std::optional<Error> {
    if (call == Call::start) intents_at_the_call = world.ledger.intents();
    return std::nullopt;
  });

  EXPECT_THAT(submitter_of(world)->run_once(), IsOk());

  EXPECT_EQ(intents_at_the_call, 1u);
}

TEST(Submitter, AFreshIntentIsNotAskedFor) {
  World world;
  world.staged(1);

  EXPECT_THAT(submitter_of(world)->run_once(), IsOk());

  EXPECT_EQ(world.service.calls(Call::find), 0);
}

TEST(Submitter, KeepsToTheServicesPace) {
  ImportLimits limits;
  limits.starts_per_second = 1;
  limits.start_burst = 2;
  World world(limits);
  const auto submitter = submitter_of(world);
  for (const char* study : {"1.1", "1.2", "1.3", "1.4", "1.5"}) world.staged(1, study);

  ASSERT_OK_AND_ASSIGN(const NextRun next, submitter->run_once());

  EXPECT_EQ(world.service.jobs().size(), 2u);
  EXPECT_GT(next.in, 990ms);
  EXPECT_LE(next.in, 1001ms);
  world.env.clock.advance(next.in);
  EXPECT_THAT(submitter->run_once(), IsOk());
  EXPECT_EQ(world.service.jobs().size(), 3u);
  world.env.clock.advance(1h);
  EXPECT_THAT(submitter->run_once(), IsOk());
  EXPECT_EQ(world.service.jobs().size(), 5u);
}

TEST(Submitter, WaitsForAJobSlot) {
  ImportLimits limits = World::roomy();
  limits.jobs_at_once = 1;
  World world(limits);
  world.service.set_polls_until_end(0);
  const BatchId first = world.staged(1, "1.1");
  const BatchId second = world.staged(1, "1.2");
  const auto submitter = submitter_of(world);

  ASSERT_OK_AND_ASSIGN(const NextRun next, submitter->run_once());

  EXPECT_EQ(next.in, 30s);
  EXPECT_EQ(world.batch_state(first), BatchState::submitted);
  EXPECT_EQ(world.batch_state(second), BatchState::staged);
  EXPECT_EQ(world.ledger.intents(), 1u);
  world.env.clock.advance(1s);
  EXPECT_THAT(make_watcher(world.env, world.ledger, world.destination, {})->run_once(), IsOk());
  EXPECT_THAT(submitter->run_once(), IsOk());
  EXPECT_EQ(world.batch_state(second), BatchState::submitted);
}

TEST(Submitter, AnIntentThatNeverBecameAJobHoldsNoSlotAgainstItself) {
  ImportLimits limits = World::roomy();
  limits.jobs_at_once = 1;
  World world(limits);
  const BatchId batch = world.staged(1);
  ASSERT_THAT(world.ledger.intend(batch, "gw"), IsOk());
  world.ledger.reopen();

  EXPECT_THAT(submitter_of(world)->run_once(), IsOk());

  EXPECT_EQ(world.batch_state(batch), BatchState::submitted);
}

TEST(Submitter, AJobThatADeadProcessStartedIsFoundNotStartedAgain) {
  World world;
  const BatchId batch = world.staged(1);
  ASSERT_OK_AND_ASSIGN(const ImportIntent intent, world.ledger.intend(batch, "gw"));
  ASSERT_THAT(world.service.start(intent), IsOk());
  world.ledger.reopen();

  EXPECT_THAT(submitter_of(world)->run_once(), IsOk());

  ASSERT_EQ(world.service.jobs().size(), 1u);
  EXPECT_EQ(world.service.jobs()[0].starts, 1);
  EXPECT_EQ(world.batch_state(batch), BatchState::submitted);
  EXPECT_TRUE(world.env.log.contains("how=found"));
}

TEST(Submitter, AnInheritedIntentWithoutAJobIsStartedWithItsToken) {
  World world;
  const BatchId batch = world.staged(1);
  ASSERT_OK_AND_ASSIGN(const ImportIntent intent, world.ledger.intend(batch, "gw"));
  world.ledger.reopen();

  EXPECT_THAT(submitter_of(world)->run_once(), IsOk());

  EXPECT_EQ(world.service.calls(Call::find), 1);
  ASSERT_EQ(world.service.jobs().size(), 1u);
  EXPECT_EQ(world.service.jobs()[0].intent.client_token, intent.client_token);
  EXPECT_EQ(world.ledger.intents(), 1u);
}

TEST(Submitter, AStartWhoseAnswerWasLostIsFoundNotStartedAgain) {
  World world;
  const BatchId batch = world.staged(1);
  world.service.lose_answer_of_start(MemoryImportService::unavailable());
  const auto submitter = submitter_of(world);
  EXPECT_THAT(submitter->run_once(), IsOk());
  ASSERT_EQ(world.batch_state(batch), BatchState::staged);
  world.env.clock.advance(1s);

  EXPECT_THAT(submitter->run_once(), IsOk());

  ASSERT_EQ(world.service.jobs().size(), 1u);
  EXPECT_EQ(world.service.jobs()[0].starts, 1);
  EXPECT_EQ(world.service.calls(Call::find), 1);
  EXPECT_EQ(world.batch_state(batch), BatchState::submitted);
}

TEST(Submitter, AJobThatCouldNotBeNotedIsFoundNotStartedAgain) {
  World world;
  world.staged(1);
  const auto submitter = submitter_of(world);
  world.ledger.refuse("job_started", transient_error("ledger.full", "No space."));
  EXPECT_THAT(submitter->run_once(), FailsWith("ledger.full"));

  EXPECT_THAT(submitter->run_once(), IsOk());

  ASSERT_EQ(world.service.jobs().size(), 1u);
  EXPECT_EQ(world.service.jobs()[0].starts, 1);
}

TEST(Submitter, ATransientRefusalPostponesWithADate) {
  World world;
  const BatchId batch = world.staged(1);
  world.service.refuse(Call::start, MemoryImportService::unavailable());

  ASSERT_OK_AND_ASSIGN(const NextRun next, submitter_of(world)->run_once());

  const Batch postponed = world.batch(batch);
  EXPECT_EQ(postponed.state, BatchState::staged);
  EXPECT_EQ(postponed.attempts, 1);
  EXPECT_EQ(postponed.reason_code, "import.unavailable");
  EXPECT_GE(*postponed.next_attempt_at, world.now() + 50ms);
  EXPECT_LE(*postponed.next_attempt_at, world.now() + 1s);
  EXPECT_EQ(next.in, *postponed.next_attempt_at - world.now());
}

TEST(Submitter, BeingAskedToSlowDownHoldsBackEveryBatch) {
  World world;
  world.staged(1, "1.1");
  world.staged(1, "1.2");
  Error throttled = MemoryImportService::throttled();
  throttled.retry_after = 20s;
  world.service.refuse(Call::start, throttled);
  const auto submitter = submitter_of(world);

  ASSERT_OK_AND_ASSIGN(const NextRun next, submitter->run_once());

  EXPECT_EQ(next.in, 20s);
  EXPECT_EQ(world.service.calls(Call::start), 1);
  world.env.clock.advance(19s);
  EXPECT_THAT(submitter->run_once(), IsOk());
  EXPECT_EQ(world.service.calls(Call::start), 1);
  world.env.clock.advance(1s);
  EXPECT_THAT(submitter->run_once(), IsOk());
  EXPECT_EQ(world.service.jobs().size(), 2u);
}

TEST(Submitter, BeingAskedToSlowDownUsesUpNoAttempt) {
  World world;
  const BatchId batch = world.staged(1);
  world.service.refuse(Call::start, MemoryImportService::throttled(), 5);
  const auto submitter = submitter_of(world, 2);

  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(submitter->run_once(), IsOk());
    EXPECT_EQ(world.batch_state(batch), BatchState::staged);
    EXPECT_EQ(world.batch(batch).attempts, 0);
    world.env.clock.advance(400s);
  }

  EXPECT_THAT(submitter->run_once(), IsOk());
  EXPECT_EQ(world.batch_state(batch), BatchState::submitted);
}

TEST(Submitter, APermanentRefusalAsksForAPerson) {
  World world;
  const BatchId batch = world.staged(1);
  world.service.refuse(Call::start, permanent_error("import.denied", "The role may not."));

  EXPECT_THAT(submitter_of(world)->run_once(), IsOk());

  EXPECT_EQ(world.batch_state(batch), BatchState::stuck);
  EXPECT_EQ(world.batch(batch).reason_code, "import.denied");
  EXPECT_EQ(world.batch(batch).reason, "The role may not.");
  EXPECT_EQ(world.metric("batch_stuck_total", {{"destination", "cloud"}, {"step", "submitter"}}),
            1);
  EXPECT_TRUE(world.env.log.contains("error batch.stuck batch=" + batch.text()));
}

TEST(Submitter, StartsThatKeepFailingAskForAPerson) {
  World world;
  const BatchId batch = world.staged(1);
  world.service.refuse(Call::start, MemoryImportService::unavailable(), 3);
  const auto submitter = submitter_of(world, 3);

  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(submitter->run_once(), IsOk());
    world.env.clock.advance(60s);
  }

  EXPECT_EQ(world.batch_state(batch), BatchState::stuck);
  EXPECT_EQ(world.batch(batch).reason_code, "import.unavailable");
}

TEST(Submitter, BeforeItGivesUpItAsksWhetherThereIsAJobAfterAll) {
  World world;
  const BatchId batch = world.staged(1);
  world.service.lose_answer_of_start(MemoryImportService::unavailable());

  EXPECT_THAT(submitter_of(world, 1)->run_once(), IsOk());

  EXPECT_EQ(world.batch_state(batch), BatchState::submitted);
}

TEST(Submitter, WhileItCannotAskItDoesNotGiveUp) {
  World world;
  const BatchId batch = world.staged(1);
  world.service.lose_answer_of_start(MemoryImportService::unavailable());
  world.service.refuse(Call::find, MemoryImportService::unavailable(), 3);
  const auto submitter = submitter_of(world, 1);

  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(submitter->run_once(), IsOk());
    EXPECT_EQ(world.batch_state(batch), BatchState::staged);
    world.env.clock.advance(600s);
  }

  EXPECT_THAT(submitter->run_once(), IsOk());
  EXPECT_EQ(world.batch_state(batch), BatchState::submitted);
  EXPECT_EQ(world.service.jobs()[0].starts, 1);
}

TEST(Submitter, WhenItMayNotEvenAskAPersonIsAsked) {
  World world;
  const BatchId batch = world.staged(1);
  ASSERT_THAT(world.ledger.intend(batch, "gw"), IsOk());
  world.ledger.reopen();
  world.service.refuse(Call::find, permanent_error("import.denied", "No listing."));

  EXPECT_THAT(submitter_of(world)->run_once(), IsOk());

  EXPECT_EQ(world.batch_state(batch), BatchState::stuck);
  EXPECT_TRUE(world.service.jobs().empty());
}

TEST(Submitter, AFatalErrorOfTheServicesMeansReachesTheRunner) {
  for (const Call call : {Call::start, Call::find}) {
    World world;
    const BatchId batch = world.staged(1);
    ASSERT_THAT(world.ledger.intend(batch, "gw"), IsOk());
    world.ledger.reopen();
    world.service.refuse(call, fatal_error("disk.io", "The disk is gone."));

    EXPECT_THAT(submitter_of(world)->run_once(), FailsWith("disk.io", Fate::fatal));
  }
}

TEST(Submitter, ABatchThatMovedMeanwhileIsLeftAlone) {
  for (const char* call : {"intend", "postpone_batch", "advance"}) {
    SCOPED_TRACE(call);
    World world;
    world.staged(1);
    if (call == std::string("postpone_batch")) {
      world.service.refuse(Call::start, MemoryImportService::unavailable());
    }
    if (call == std::string("advance")) {
      world.service.refuse(Call::start, permanent_error("import.invalid", "No."));
    }
    world.ledger.refuse(call, permanent_error("ledger.no_transition", "Somebody was first."));

    EXPECT_THAT(submitter_of(world)->run_once(), IsOk());

    EXPECT_TRUE(world.env.log.contains("warn step.row_moved step=submitter"));
    EXPECT_EQ(world.metric("batch_stuck_total", {{"destination", "cloud"}, {"step", "submitter"}}),
              0);
  }
}

TEST(Submitter, LedgerErrorsReachTheRunner) {
  expect_ledger_errors_reach_the_runner(
      {"due_batches", "jobs_in_flight", "intend", "intent_is_inherited", "job_started",
       "next_batch_at"},
      [](World& world) { world.staged(1); }, [](World& world) { return submitter_of(world); });
  expect_ledger_errors_reach_the_runner(
      {"postpone_batch"},
      [](World& world) {
        world.staged(1);
        world.service.refuse(Call::start, MemoryImportService::unavailable());
      },
      [](World& world) { return submitter_of(world); });
  expect_ledger_errors_reach_the_runner(
      {"advance"},
      [](World& world) {
        world.staged(1);
        world.service.refuse(Call::start, permanent_error("import.invalid", "No."));
      },
      [](World& world) { return submitter_of(world); });
}

}  // namespace
}  // namespace isthmus::test
