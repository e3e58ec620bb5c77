#include "pipeline/scheduler.h"

#include "pipeline/paced_source.h"
#include "unit/pipeline/world.h"

namespace isthmus::test {
namespace {

using Call = MemoryObjectStore::Call;

struct Scheduled : World {
  explicit Scheduled(ImportLimits limits = roomy(), SchedulerOptions options = {})
      : World(limits), scheduler(make_scheduler(env, "cloud", limits, std::move(options))) {}

  std::unique_ptr<Step> stager(std::size_t uploads = 1, std::int64_t attempts = 20) {
    StagerOptions options;
    options.uploads = uploads;
    options.attempts = attempts;
    options.scheduler = scheduler.get();
    return make_stager(env, ledger, spool, destination, options);
  }
  std::unique_ptr<Step> submitter() {
    SubmitterOptions options;
    options.scheduler = scheduler.get();
    return make_submitter(env, ledger, destination, options);
  }
  std::unique_ptr<Step> batcher() {
    return make_batcher(env, ledger, destination, {10s, 300s, scheduler.get()});
  }
  // Steps as a runner does, for `duration`.
  void run(const std::vector<Step*>& steps, Milliseconds duration) {
    const SteadyTime end = env.clock.steady_now() + duration;
    while (env.clock.steady_now() < end) {
      Milliseconds in = 30s;
      for (Step* step : steps) {
        const auto next = step->run_once();
        ASSERT_THAT(next, IsOk());
        in = std::min(in, next->in);
      }
      env.clock.advance(std::max(in, 20ms));
    }
  }

  std::unique_ptr<Scheduler> scheduler;
};

// --- an outage

TEST(Scheduler, ABucketThatIsOutForADayUsesUpNobodysAttempts) {
  for (const Error& out :
       {MemoryObjectStore::unavailable(), transient_error("http.connect", "Nobody listens."),
        transient_error("auth.no_credentials", "No keys.")}) {
    SCOPED_TRACE(out.code);
    Scheduled world;
    world.sealed(30);
    world.store.set_hook([&](Call call, const ObjectKey&) -> std::optional<Error> {
      if (call == Call::put) return out;
      return std::nullopt;
    });
    const auto stager = world.stager(4, 20);

    world.run({stager.get()}, 24h);

    EXPECT_EQ(world.in_state(DeliveryState::waiting), 30);
    EXPECT_EQ(world.scheduler->state().bucket_circuit == "closed", false);
    EXPECT_LT(world.store.calls(Call::put), 24 * 60 * 2);
    world.store.set_hook({});
    world.run({stager.get()}, 600s);
    EXPECT_EQ(world.in_state(DeliveryState::staged), 30);
    EXPECT_EQ(world.scheduler->state().bucket_circuit, "closed");
    EXPECT_TRUE(world.env.log.contains("warn destination.out destination=cloud api=bucket"));
    EXPECT_TRUE(world.env.log.contains("info destination.back destination=cloud api=bucket"));
  }
}

TEST(Scheduler, AnImportServiceThatIsOutForADayLeavesNoBatchStuck) {
  Scheduled world;
  for (int i = 1; i <= 12; ++i) world.staged(1, "1.2." + std::to_string(i));
  world.service.set_hook([](MemoryImportService::Call) -> std::optional<Error> {
    return MemoryImportService::unavailable();
  });
  const auto submitter = world.submitter();

  world.run({submitter.get()}, 24h);

  EXPECT_EQ(world.batches(BatchState::staged).size(), 12u);
  EXPECT_EQ(world.scheduler->state().import_circuit == "closed", false);
  world.service.set_hook({});
  world.run({submitter.get()}, 600s);
  EXPECT_EQ(world.batches(BatchState::submitted).size(), 12u);
}

TEST(Scheduler, AfterAnOutageItProbesWithOneUploadAlone) {
  Scheduled world;
  world.sealed(30);
  world.store.refuse(Call::put, transient_error("http.connect", "Nobody listens."), 1'000'000);
  const auto stager = world.stager(4);
  EXPECT_THAT(stager->run_once(), IsOk());
  const int at_once = world.store.calls(Call::put);
  world.env.clock.advance(world.scheduler->until_upload(false));

  EXPECT_EQ(world.scheduler->uploads(), 1);
  EXPECT_THAT(stager->run_once(), IsOk());

  EXPECT_EQ(world.store.calls(Call::put), at_once + 1);
}

// --- throttling

TEST(Scheduler, SlowDownHalvesTheUploadsAndSuccessBringsThemBack) {
  SchedulerOptions options;
  options.uploads = 4;
  Scheduled world(World::roomy(), options);
  Error slow_down = MemoryObjectStore::slow_down();
  slow_down.retry_after = 2s;

  EXPECT_FALSE(world.scheduler->upload_failed("a", slow_down));

  EXPECT_EQ(world.scheduler->uploads(), 2);
  EXPECT_GE(world.scheduler->until_upload(false), 2s);
  EXPECT_FALSE(world.scheduler->upload_failed("b", slow_down));  // was under way with the first
  EXPECT_EQ(world.scheduler->uploads(), 2);
  for (int i = 0; i < 5; ++i) world.scheduler->upload_succeeded();
  EXPECT_EQ(world.scheduler->uploads(), 4);
}

TEST(Scheduler, TooManyJobsLowersTheSlotsToThoseThatRun) {
  ImportLimits limits;
  limits.jobs_at_once = 100;
  Scheduled world(limits);

  EXPECT_FALSE(
      world.scheduler->start_failed("b", transient_error("import.quota", "Too many jobs."), 20));

  EXPECT_EQ(world.scheduler->job_slots(), 20);
  EXPECT_DOUBLE_EQ(world.scheduler->state().starts_per_second, 1.0);
}

TEST(Scheduler, TooManyCallsLowersTheRate) {
  Scheduled world((ImportLimits()));

  EXPECT_FALSE(world.scheduler->start_failed("b", MemoryImportService::throttled(), 20));

  EXPECT_EQ(world.scheduler->job_slots(), 100);
  EXPECT_DOUBLE_EQ(world.scheduler->state().starts_per_second, 0.5);
}

// Starts come one by one, so that whichever batch is a study's oldest is always its first in line.
TEST(Scheduler, AStudyOfManyBatchesDoesNotHoldUpTheSmallOnes) {
  ImportLimits limits = World::roomy();
  limits.starts_per_second = 1;
  limits.start_burst = 1;
  Scheduled world(limits);
  for (int i = 0; i < 4; ++i) world.staged(1, "1.2.1");
  const BatchId small = world.staged(1, "1.2.2");
  const auto submitter = world.submitter();

  EXPECT_THAT(submitter->run_once(), IsOk());
  EXPECT_EQ(world.batches(BatchState::submitted).size(), 1u);
  EXPECT_EQ(world.batch_state(small), BatchState::staged);
  world.env.clock.advance(1s);
  EXPECT_THAT(submitter->run_once(), IsOk());

  EXPECT_EQ(world.batch_state(small), BatchState::submitted);
  EXPECT_EQ(world.batches(BatchState::staged).size(), 3u);
}

// --- bandwidth and hours

TEST(Scheduler, UploadsKeepToTheBandwidth) {
  SchedulerOptions options;
  options.upload_bytes_per_second = 10;  // "bytes of 1": an instance a second
  Scheduled world(World::roomy(), options);
  world.sealed(30);
  const auto stager = world.stager(1);

  world.run({stager.get()}, 20s);

  EXPECT_GE(world.in_state(DeliveryState::staged), 18);
  EXPECT_LE(world.in_state(DeliveryState::staged), 22);
}

TEST(Scheduler, ALargeObjectIsReadNoFasterThanTheBandwidth) {
  SchedulerOptions options;
  options.upload_bytes_per_second = MiB;
  Scheduled world(World::roomy(), options);
  const auto source =
      paced(world.env.clock, *world.scheduler, source_of(Bytes(kPacedAsAWhole + 4 * MiB)));
  const SteadyTime begun = world.env.clock.steady_now();
  Bytes piece(256 * KiB);

  while (*source->read(piece) > 0) {
  }

  EXPECT_GE(world.env.clock.steady_now() - begun, 18s);
  EXPECT_LE(world.env.clock.steady_now() - begun, 21s);
}

// Open for an hour, two hours from now, whatever the machine's zone.
UploadHours open_in_two_hours() {
  const Milliseconds of_day = local_time_of_day(TestEnv().clock.wall_now());
  const auto text = [](Milliseconds time) {
    const auto minutes = time.count() / 60'000 % (24 * 60);
    return std::string{
        static_cast<char>('0' + minutes / 600), static_cast<char>('0' + minutes / 60 % 10), ':',
        static_cast<char>('0' + minutes % 60 / 10), static_cast<char>('0' + minutes % 10)};
  };
  return *UploadHours::parse({text(of_day + 2h) + "-" + text(of_day + 3h)});
}

// A batcher to which a study's instances cannot wait.
std::unique_ptr<Step> batcher_with_stat(World& world, const char* study) {
  BatcherOptions lanes;
  lanes.lane_of = [study = uid(study)](const WaitingDelivery& delivery) {
    return delivery.study_instance_uid == study ? Lane::stat : Lane::routine;
  };
  return make_batcher(world.env, world.ledger, world.destination, lanes);
}

TEST(Scheduler, OutsideItsHoursNothingIsUploadedButWhatIsUrgent) {
  SchedulerOptions options;
  options.hours = open_in_two_hours();
  Scheduled world(World::roomy(), options);
  world.sealed(3);
  const auto stager = world.stager();

  world.run({stager.get()}, 1h + 55min);
  EXPECT_EQ(world.in_state(DeliveryState::staged), 0);
  EXPECT_EQ(world.scheduler->until_upload(true), 0ms);
  world.run({stager.get()}, 10min);

  EXPECT_EQ(world.in_state(DeliveryState::staged), 3);
}

// Hours are for bandwidth that others need by day; a study that cannot wait is not kept for them.
TEST(Scheduler, WhatCannotWaitIsUploadedAtAnyHour) {
  SchedulerOptions options;
  options.hours = open_in_two_hours();
  Scheduled world(World::roomy(), options);
  world.sealed(3, "1.2.3");
  world.receive_some(2, "1.2.4");
  const auto batcher = batcher_with_stat(world, "1.2.4");
  const auto stager = world.stager();

  world.run({batcher.get(), stager.get()}, 60s);

  EXPECT_EQ(world.in_state(DeliveryState::staged), 2);
  EXPECT_EQ(world.in_state(DeliveryState::waiting), 3);
}

// Its second try has a date of its own, at which nobody wakes the stager.
TEST(Scheduler, ARetryOfWhatCannotWaitKeepsItsDateOutsideTheHours) {
  SchedulerOptions options;
  options.hours = open_in_two_hours();
  Scheduled world(World::roomy(), options);
  world.sealed(3, "1.2.3");
  world.receive_some(1, "1.2.4");
  const auto batcher = batcher_with_stat(world, "1.2.4");
  world.run({batcher.get()}, 60s);
  const auto stager = world.stager();
  world.store.refuse(Call::put, MemoryObjectStore::unavailable());

  ASSERT_OK_AND_ASSIGN(const NextRun next, stager->run_once());
  ASSERT_EQ(world.in_state(DeliveryState::staged), 0);
  ASSERT_OK_AND_ASSIGN(const NextRun woken_by_others, stager->run_once());
  world.env.clock.advance(next.in);
  ASSERT_OK_AND_ASSIGN(const NextRun last, stager->run_once());

  EXPECT_GT(next.in, 0ms);
  EXPECT_LE(next.in, 1s);  // the first backoff
  EXPECT_EQ(woken_by_others.in, next.in);
  EXPECT_EQ(world.in_state(DeliveryState::staged), 1);
  EXPECT_EQ(last.in, 30s);
}

// One study of many images is on its way up when another comes that cannot wait.
TEST(Scheduler, WhatCannotWaitDoesNotWaitForTheEndOfARun) {
  Scheduled world;
  world.sealed(12, "1.2.3");
  BatcherOptions lanes;
  lanes.lane_of = [](const WaitingDelivery&) { return Lane::stat; };
  const auto batcher = make_batcher(world.env, world.ledger, world.destination, lanes);
  std::vector<std::string> keys;
  BatchId urgent;
  world.store.set_hook([&](Call call, const ObjectKey& key) -> std::optional<Error> {
    if (call != Call::put) return std::nullopt;
    keys.push_back(key.text);
    world.env.clock.advance(600ms);  // an upload takes so long
    if (keys.size() == 3) {
      world.receive_some(1, "1.2.4");
      EXPECT_THAT(batcher->run_once(), IsOk());
      urgent = world.batches(BatchState::open).at(0).id;
      EXPECT_THAT(world.ledger.advance(urgent, BatchEvent::seal, nullptr), IsOk());
    }
    return std::nullopt;
  });
  const auto stager = world.stager();

  ASSERT_OK_AND_ASSIGN(const NextRun next, stager->run_once());
  const std::size_t before = keys.size();
  EXPECT_LE(before, 5u);
  EXPECT_EQ(next.in.count(), 0);  // there is more to do now
  EXPECT_THAT(stager->run_once(), IsOk());

  ASSERT_GT(keys.size(), before);
  EXPECT_THAT(keys[before], testing::HasSubstr(urgent.text()));
  EXPECT_EQ(world.in_state(DeliveryState::staged), 13);
}

// --- what is told of it

TEST(Scheduler, TellsHowManyStartsAreLeft) {
  ImportLimits limits;
  limits.starts_per_second = 0.25;
  limits.start_burst = 2;
  Scheduled world(limits);

  EXPECT_DOUBLE_EQ(world.scheduler->state().start_tokens, 2);
  world.scheduler->start_called();
  world.scheduler->start_called();
  EXPECT_DOUBLE_EQ(world.scheduler->state().start_tokens, 0);
  world.env.clock.advance(2s);
  EXPECT_DOUBLE_EQ(world.scheduler->state().start_tokens, 0.5);
  EXPECT_EQ(world.scheduler->state().until_import_probe, 0ms);
}

TEST(Scheduler, TellsWhenADestinationThatIsOutIsTriedAgain) {
  Scheduled world;

  world.scheduler->start_failed("batch", transient_error("http.connect", "Nobody listens."), 0);

  const SchedulerState out = world.scheduler->state();
  EXPECT_EQ(out.import_circuit, "open");
  EXPECT_GT(out.until_import_probe, 0ms);
  EXPECT_EQ(out.until_bucket_probe, 0ms);
  world.env.clock.advance(out.until_import_probe);
  EXPECT_EQ(world.scheduler->state().until_import_probe, 0ms);
}

// --- scarce starts

TEST(Scheduler, SmallStudiesShareABatchWhenStartsAreScarce) {
  ImportLimits limits;
  limits.starts_per_second = 0.25;
  limits.start_burst = 1;
  Scheduled world(limits);
  const auto batcher = world.batcher();
  for (int i = 1; i <= 40; ++i) {
    world.receive_some(1, "1.2." + std::to_string(i));
    EXPECT_THAT(batcher->run_once(), IsOk());
  }

  EXPECT_LE(world.batches(BatchState::open).size(), 4u);
}

TEST(Scheduler, WithStartsInPlentyStudiesKeepBatchesOfTheirOwn) {
  Scheduled world;
  const auto batcher = world.batcher();
  for (int i = 1; i <= 40; ++i) world.receive_some(1, "1.2." + std::to_string(i));

  EXPECT_THAT(batcher->run_once(), IsOk());

  EXPECT_EQ(world.batches(BatchState::open).size(), 40u);
}

TEST(Scheduler, ASharedBatchGoesWhenItsTurnIsThoughStudiesKeepComing) {
  ImportLimits limits;
  limits.starts_per_second = 0.01;
  limits.start_burst = 1;
  Scheduled world(limits);
  const auto batcher = world.batcher();
  world.receive_some(1, "1.3.1");
  EXPECT_THAT(batcher->run_once(), IsOk());
  for (int i = 1; i <= 30; ++i) {
    world.env.clock.advance(1s);
    world.receive_some(1, "1.2." + std::to_string(i));
    EXPECT_THAT(batcher->run_once(), IsOk());
  }

  EXPECT_GE(world.batches(BatchState::sealed).size(), 1u);
}

// --- what is told

TEST(Scheduler, SaysItsStateInMetrics) {
  Scheduled world;
  show_scheduler(world.env, "cloud", *world.scheduler);
  world.scheduler->upload_failed("a", transient_error("http.connect", "Nobody listens."));

  const std::string text = world.env.metrics->text();

  EXPECT_NE(text.find("isthmus_scheduler_circuit_open{api=\"bucket\",destination=\"cloud\"} 1"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("isthmus_scheduler_circuit_open{api=\"imports\",destination=\"cloud\"} 0"),
            std::string::npos);
}

}  // namespace
}  // namespace isthmus::test
