#include "unit/pipeline/world.h"

namespace isthmus::test {
namespace {

using Call = MemoryImportService::Call;
using Said = MemoryImportService::Said;

std::unique_ptr<Step> reconciler_of(World& world, std::int64_t attempts = 5) {
  ReconcilerOptions options;
  options.attempts = attempts;
  return make_reconciler(world.env, world.ledger, world.destination, options);
}

double outcomes(World& world, const char* kind) {
  return world.metric("outcomes_total", {{"destination", "cloud"}, {"kind", kind}});
}

TEST(Reconciler, RecordsWhatTheOutputSaysOfEach) {
  World world;
  const BatchId batch = world.settled(3);
  const auto members = world.members(batch);
  world.service.say(members[1].key, {Said::rejected, "ValidationException", "Bad frame count."});
  world.service.say(members[2].key, {Said::missing});

  EXPECT_THAT(reconciler_of(world)->run_once(), IsOk());

  EXPECT_EQ(world.batch_state(batch), BatchState::reconciled);
  const Delivery imported = *world.ledger.delivery(members[0].delivery);
  EXPECT_EQ(imported.state, DeliveryState::imported);
  EXPECT_EQ(imported.image_set_id, "imageset-job1");
  EXPECT_EQ(imported.primary, true);
  const Delivery rejected = *world.ledger.delivery(members[1].delivery);
  EXPECT_EQ(rejected.state, DeliveryState::rejected);
  EXPECT_EQ(rejected.reason_code, "ValidationException");
  EXPECT_EQ(rejected.reason, "Bad frame count.");
  const Delivery missing = *world.ledger.delivery(members[2].delivery);
  EXPECT_EQ(missing.state, DeliveryState::waiting);
  EXPECT_EQ(missing.attempts, 1);
  EXPECT_EQ(missing.batch, std::nullopt);
  EXPECT_GE(*missing.next_attempt_at, world.now() + 50ms);
  EXPECT_LE(*missing.next_attempt_at, world.now() + 1s);
}

TEST(Reconciler, CountsAndTells) {
  World world;
  const BatchId batch = world.settled(3);
  world.service.say(world.members(batch)[1].key, {Said::rejected});
  world.service.say(world.members(batch)[2].key, {Said::unaccounted});

  EXPECT_THAT(reconciler_of(world)->run_once(), IsOk());

  EXPECT_EQ(outcomes(world, "imported"), 1);
  EXPECT_EQ(outcomes(world, "rejected"), 1);
  EXPECT_EQ(outcomes(world, "unaccounted"), 1);
  EXPECT_TRUE(world.env.log.contains("info batch.reconciled batch=" + batch.text()));
  EXPECT_TRUE(world.env.log.contains("members=3 imported=1 rejected=1 unaccounted=1"));
}

TEST(Reconciler, UnaccountedOnesOfABatchGetTheSameDate) {
  World world;
  world.service.say_by_default({Said::missing});
  world.settled(3);

  EXPECT_THAT(reconciler_of(world)->run_once(), IsOk());

  const auto after = world.deliveries();
  EXPECT_EQ(after[0].next_attempt_at, after[1].next_attempt_at);
  EXPECT_EQ(after[1].next_attempt_at, after[2].next_attempt_at);
}

TEST(Reconciler, TheLastUnaccountedImportEndsInQuarantine) {
  World world;
  world.service.say_by_default({Said::missing});
  world.settled(1);

  EXPECT_THAT(reconciler_of(world, 1)->run_once(), IsOk());

  EXPECT_EQ(world.deliveries()[0].state, DeliveryState::quarantined);
  EXPECT_EQ(world.deliveries()[0].reason_code, "import.not_mentioned");
}

TEST(Reconciler, CountsTheImportsOfOneInstanceAcrossBatches) {
  World world;
  world.service.say_by_default({Said::missing});
  world.receive_some(1);
  const auto batcher = make_batcher(world.env, world.ledger, world.destination, {});
  const auto stager = make_stager(world.env, world.ledger, world.spool, world.destination, {});
  const auto submitter = make_submitter(world.env, world.ledger, world.destination, {});
  const auto watcher = make_watcher(world.env, world.ledger, world.destination, {});
  const auto reconciler = reconciler_of(world, 3);

  for (int i = 0; i < 100 && world.in_state(DeliveryState::quarantined) == 0; ++i) {
    for (Step* step :
         {batcher.get(), stager.get(), submitter.get(), watcher.get(), reconciler.get()}) {
      EXPECT_THAT(step->run_once(), IsOk());
    }
    world.env.clock.advance(10s);
  }

  EXPECT_EQ(world.in_state(DeliveryState::quarantined), 1);
  EXPECT_EQ(world.service.jobs().size(), 3u);
}

TEST(Reconciler, UploadsThatFailedDoNotUseUpTheImports) {
  World world;
  const BatchId batch = world.sealed(1);
  const DeliveryId delivery = world.deliveries()[0].id;
  for (int i = 0; i < 10; ++i) {
    ASSERT_THAT(world.ledger.postpone(delivery, MemoryObjectStore::unavailable(), world.now()),
                IsOk());
  }
  world.service.say_by_default({Said::missing});
  EXPECT_THAT(make_stager(world.env, world.ledger, world.spool, world.destination, {})->run_once(),
              IsOk());
  EXPECT_THAT(make_submitter(world.env, world.ledger, world.destination, {})->run_once(), IsOk());
  const auto watcher = make_watcher(world.env, world.ledger, world.destination, {});
  for (int i = 0; i < 5; ++i) {
    world.env.clock.advance(60s);
    EXPECT_THAT(watcher->run_once(), IsOk());
  }
  ASSERT_EQ(world.batch_state(batch), BatchState::settled);

  EXPECT_THAT(reconciler_of(world, 5)->run_once(), IsOk());

  EXPECT_EQ(world.deliveries()[0].state, DeliveryState::waiting);
}

TEST(Reconciler, WaitsForALateManifest) {
  World world;
  world.service.set_late_manifests(3);
  const BatchId batch = world.settled(2);
  const auto reconciler = reconciler_of(world);

  ASSERT_OK_AND_ASSIGN(const NextRun next, reconciler->run_once());

  EXPECT_EQ(world.batch_state(batch), BatchState::settled);
  EXPECT_GE(next.in, 50ms);
  EXPECT_LE(next.in, 1s);
  EXPECT_EQ(world.batch(batch).reason_code, "import.output_missing");
  for (int i = 0; i < 3; ++i) {
    world.env.clock.advance(10s);
    EXPECT_THAT(reconciler->run_once(), IsOk());
  }
  EXPECT_EQ(world.batch_state(batch), BatchState::reconciled);
  EXPECT_EQ(world.in_state(DeliveryState::imported), 2);
}

TEST(Reconciler, AManifestThatNeverComesAccountsForNobody) {
  World world;
  world.service.set_late_manifests(1'000'000);
  const BatchId batch = world.settled(2);
  const auto reconciler = reconciler_of(world);
  world.env.clock.advance(599s);
  EXPECT_THAT(reconciler->run_once(), IsOk());
  ASSERT_EQ(world.batch_state(batch), BatchState::settled);
  world.env.clock.advance(10s);

  EXPECT_THAT(reconciler->run_once(), IsOk());

  EXPECT_EQ(world.batch_state(batch), BatchState::reconciled);
  EXPECT_EQ(world.in_state(DeliveryState::waiting), 2);
  EXPECT_EQ(world.deliveries()[0].reason_code, "import.output_missing");
  EXPECT_TRUE(world.env.log.contains("warn batch.output_missing"));
}

TEST(Reconciler, OutputThatMakesNoSenseAsksForAPerson) {
  World world;
  const BatchId batch = world.settled(1);
  world.service.refuse(Call::outcomes, permanent_error("import.output_unreadable", "Not JSON."));

  EXPECT_THAT(reconciler_of(world)->run_once(), IsOk());

  EXPECT_EQ(world.batch_state(batch), BatchState::stuck);
  EXPECT_EQ(world.batch(batch).reason_code, "import.output_unreadable");
  EXPECT_EQ(world.metric("batch_stuck_total", {{"destination", "cloud"}, {"step", "reconciler"}}),
            1);
}

TEST(Reconciler, DeniedAccessMayBeMendedBeforeAPersonIsAsked) {
  World world;
  const BatchId batch = world.settled(1);
  world.service.refuse(Call::outcomes, permanent_error("store.denied", "No."), 2);
  const auto reconciler = reconciler_of(world);
  EXPECT_THAT(reconciler->run_once(), IsOk());
  EXPECT_EQ(world.batch_state(batch), BatchState::settled);
  world.env.clock.advance(600s);

  EXPECT_THAT(reconciler->run_once(), IsOk());

  EXPECT_EQ(world.batch_state(batch), BatchState::stuck);
  EXPECT_EQ(world.batch(batch).reason_code, "store.denied");
}

TEST(Reconciler, ATransientErrorIsTriedAgainHoweverOften) {
  World world;
  const BatchId batch = world.settled(1);
  world.service.refuse(Call::outcomes, MemoryObjectStore::unavailable(), 30);
  const auto reconciler = reconciler_of(world);

  for (int i = 0; i < 31; ++i) {
    EXPECT_THAT(reconciler->run_once(), IsOk());
    world.env.clock.advance(300s);
  }

  EXPECT_EQ(world.batch_state(batch), BatchState::reconciled);
}

// A service that breaks its promise of exactly one outcome for each.
class ForgetfulService : public MemoryImportService {
 public:
  using MemoryImportService::MemoryImportService;
  Result<std::vector<Outcome>> outcomes(const RemoteJob& job,
                                        std::span<const Expected> expected) override {
    return MemoryImportService::outcomes(job, expected.subspan(1));
  }
};

TEST(Reconciler, OutcomesThatDoNotCoverTheBatchAskForAPerson) {
  World world;
  const BatchId batch = world.settled(2);
  ForgetfulService forgetful(World::roomy());
  ASSERT_OK_AND_ASSIGN(const ImportJob job, world.ledger.settling_job(batch));
  ASSERT_THAT(forgetful.start(job.intent), IsOk());
  ASSERT_THAT(forgetful.status(*job.remote), IsOk());
  ASSERT_THAT(forgetful.status(*job.remote), IsOk());
  Destination destination{"cloud", "gw", world.store, forgetful};

  EXPECT_THAT(make_reconciler(world.env, world.ledger, destination, {})->run_once(), IsOk());

  EXPECT_EQ(world.batch_state(batch), BatchState::stuck);
  EXPECT_EQ(world.batch(batch).reason_code, "ledger.outcomes_incomplete");
}

TEST(Reconciler, AFatalErrorReachesTheRunner) {
  World world;
  world.settled(1);
  world.service.refuse(Call::outcomes, fatal_error("disk.io", "The disk is gone."));

  EXPECT_THAT(reconciler_of(world)->run_once(), FailsWith("disk.io", Fate::fatal));
}

TEST(Reconciler, ABatchThatMovedMeanwhileIsLeftAlone) {
  for (const char* call : {"record_outcomes", "postpone_batch", "advance"}) {
    SCOPED_TRACE(call);
    World world;
    world.settled(1);
    if (call == std::string("postpone_batch")) {
      world.service.refuse(Call::outcomes, MemoryImportService::unavailable());
    }
    if (call == std::string("advance")) {
      world.service.refuse(Call::outcomes, permanent_error("import.output_unreadable", "No."));
    }
    world.ledger.refuse(call, permanent_error("ledger.no_transition", "Somebody was first."));

    EXPECT_THAT(reconciler_of(world)->run_once(), IsOk());

    EXPECT_TRUE(world.env.log.contains("warn step.row_moved step=reconciler"));
    EXPECT_EQ(outcomes(world, "imported"), 0);
  }
}

TEST(Reconciler, LedgerErrorsReachTheRunner) {
  const auto reconciler = [](World& world) { return reconciler_of(world); };
  expect_ledger_errors_reach_the_runner(
      {"due_batches", "settling_job", "expected", "record_outcomes", "next_batch_at"},
      [](World& world) { world.settled(1); }, reconciler);
  expect_ledger_errors_reach_the_runner(
      {"postpone_batch"},
      [](World& world) {
        world.settled(1);
        world.service.refuse(Call::outcomes, MemoryImportService::unavailable());
      },
      reconciler);
  expect_ledger_errors_reach_the_runner(
      {"advance"},
      [](World& world) {
        world.settled(1);
        world.service.refuse(Call::outcomes, permanent_error("import.output_unreadable", "No."));
      },
      reconciler);
}

}  // namespace
}  // namespace isthmus::test
