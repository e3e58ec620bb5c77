// An hour of a hospital before a cloud that lets through little: a start each four seconds, two job
// slots. The whole pipeline on a fake clock; beside it the way without a scheduler, one job for
// each series. Printed as a chart of how long the oldest delivery has been waiting.
#include <algorithm>
#include <cstdio>
#include <iostream>

#include "pipeline/scheduler.h"
#include "unit/pipeline/world.h"

namespace isthmus::test {
namespace {

constexpr int kStudies = 200;
constexpr int kSeriesPerStudy = 3;
constexpr int kImagesPerSeries = 2;
constexpr Milliseconds kHour = 1h;
constexpr Milliseconds kLongest = 6h;
constexpr int kPolls = 4;  // until a job ends: about 15 s

ImportLimits throttled() {
  ImportLimits limits;
  limits.starts_per_second = 0.25;
  limits.start_burst = 1;
  limits.jobs_at_once = 2;
  return limits;
}

struct Point {
  Milliseconds at;
  Milliseconds oldest;
};
struct Course {
  std::vector<Point> chart;
  Milliseconds took{0};  // until the last delivery was imported
  std::size_t jobs = 0;
  int imported = 0;
};

class Hospital {
 public:
  explicit Hospital(bool with_scheduler) : world_(throttled()), with_scheduler_(with_scheduler) {
    world_.service.set_polls_until_end(kPolls);
    SchedulerOptions options;
    options.uploads = 1;  // in this thread
    scheduler_ = make_scheduler(world_.env, "cloud", throttled(), options);
    make_steps();
  }

  Course run() {
    Course result;
    const SteadyTime begun = world_.env.clock.steady_now();
    int sent = 0;
    Milliseconds next_point{0};
    for (Milliseconds now{0}; now < kLongest; now = world_.env.clock.steady_now() - begun) {
      while (sent < kStudies && kHour * sent / kStudies <= now) send(sent++);
      for (const auto& step : steps_) EXPECT_THAT(step->run_once(), IsOk());
      if (now >= next_point) {
        result.chart.push_back({now, oldest()});
        next_point += 5min;
      }
      if (sent == kStudies && done()) {
        result.took = now;
        break;
      }
      world_.env.clock.advance(1s);
    }
    result.jobs = world_.service.jobs().size();
    result.imported = world_.in_state(DeliveryState::imported);
    return result;
  }

 private:
  void make_steps() {
    Scheduler* shared = with_scheduler_ ? scheduler_.get() : nullptr;
    StagerOptions stager;
    stager.uploads = 1;
    stager.scheduler = shared;
    SubmitterOptions submitter;
    submitter.scheduler = shared;
    WatcherOptions watcher;
    watcher.scheduler = shared;
    Env& env = world_.env;
    Ledger& ledger = world_.ledger;
    Destination& destination = world_.destination;
    steps_.push_back(make_batcher(env, ledger, destination, {10s, 300s, shared}));
    steps_.push_back(make_stager(env, ledger, world_.spool, destination, stager));
    steps_.push_back(make_submitter(env, ledger, destination, submitter));
    steps_.push_back(make_watcher(env, ledger, destination, watcher));
    steps_.push_back(make_reconciler(env, ledger, destination, {}));
  }

  // Without a scheduler each series is a unit of its own, as if it were a study.
  void send(int study) {
    for (int series = 1; series <= kSeriesPerStudy; ++series) {
      std::string uid = "1.2." + std::to_string(study);
      if (!with_scheduler_) uid += "." + std::to_string(series);
      for (int image = 1; image <= kImagesPerSeries; ++image) {
        world_.receive(uid, series * 10 + image, "image");
        since_.push_back(world_.env.clock.steady_now());
      }
    }
  }

  bool done() {
    return world_.in_state(DeliveryState::imported) == static_cast<int>(since_.size());
  }

  // Those that came first are imported first, but for a batch or two: near enough for a chart.
  Milliseconds oldest() {
    const auto imported = static_cast<std::size_t>(world_.in_state(DeliveryState::imported));
    if (imported >= since_.size()) return Milliseconds{0};
    return world_.env.clock.steady_now() - since_[imported];
  }

  World world_;
  const bool with_scheduler_;
  std::unique_ptr<Scheduler> scheduler_;
  std::vector<std::unique_ptr<Step>> steps_;
  std::vector<SteadyTime> since_;  // of each instance, in the order of arrival
};

// A hundred studies wait for their starts, four seconds each, when one comes that cannot wait.
TEST(ThrottledCloud, AStatStudyOvertakesAHundredThatWait) {
  constexpr int kWaiting = 100;
  const std::string urgent = "1.9";
  ImportLimits limits = throttled();
  limits.jobs_at_once = 2 * kWaiting;  // starts are what is scarce here
  World world(limits);
  world.service.set_polls_until_end(1);
  SchedulerOptions uploads;
  uploads.uploads = 1;
  const auto scheduler = make_scheduler(world.env, "cloud", limits, uploads);
  // No scheduler for the batcher: a batch for each study, as large ones have.
  BatcherOptions batching;
  batching.quiet = 1s;
  batching.lane_of = [&](const WaitingDelivery& delivery) {
    return delivery.study_instance_uid == uid(urgent) ? Lane::stat : Lane::routine;
  };
  StagerOptions staging;
  staging.uploads = 1;
  staging.scheduler = scheduler.get();
  SubmitterOptions submitting;
  submitting.scheduler = scheduler.get();
  std::vector<std::unique_ptr<Step>> steps;
  steps.push_back(make_batcher(world.env, world.ledger, world.destination, batching));
  steps.push_back(make_stager(world.env, world.ledger, world.spool, world.destination, staging));
  steps.push_back(make_submitter(world.env, world.ledger, world.destination, submitting));
  const auto pass = [&](int seconds) {
    for (int i = 0; i < seconds; ++i) {
      for (const auto& step : steps) ASSERT_THAT(step->run_once(), IsOk());
      world.env.clock.advance(1s);
    }
  };
  for (int i = 1; i <= kWaiting; ++i) world.receive_some(2, "1.2." + std::to_string(i));
  pass(20);
  const std::size_t before = world.batches(BatchState::submitted).size();
  ASSERT_LE(before, 6u);
  ASSERT_GE(world.batches(BatchState::staged).size(), 94u);

  world.receive_some(2, urgent);
  pass(8);  // quiet, staged, and one start

  bool is_started = false;
  for (const Batch& batch : world.batches(BatchState::submitted)) {
    is_started = is_started || batch.lane == Lane::stat;
  }
  EXPECT_TRUE(is_started);
  EXPECT_LE(world.batches(BatchState::submitted).size(), before + 3);
  pass(4 * kWaiting + 60);
  EXPECT_EQ(world.batches(BatchState::submitted).size(), kWaiting + 1u);  // and nobody starves
}

double minutes(Milliseconds time) {
  return static_cast<double>(time.count()) / 60'000.0;
}

Milliseconds highest(const Course& run) {
  Milliseconds most{0};
  for (const Point& point : run.chart) most = std::max(most, point.oldest);
  return most;
}

void print(const char* title, const Course& run) {
  std::printf("%s: %zu jobs, all imported after %.0f min\n", title, run.jobs, minutes(run.took));
  std::printf("   min  oldest waits (# = 1 min)\n");
  for (const Point& point : run.chart) {
    const auto bars = static_cast<std::size_t>(minutes(point.oldest) + 0.5);
    std::printf("  %4.0f  %5.1f %s\n", minutes(point.at), minutes(point.oldest),
                std::string(std::min<std::size_t>(bars, 90), '#').c_str());
  }
}

TEST(ThrottledCloud, AnHoursStudiesAreReconciledWithBoundedDelay) {
  const Course scheduled = Hospital(true).run();
  const Course by_series = Hospital(false).run();

  print("one job for what waits", scheduled);
  print("one job for each series", by_series);

  EXPECT_EQ(scheduled.imported, kStudies * kSeriesPerStudy * kImagesPerSeries);
  EXPECT_LE(highest(scheduled), 6min);
  EXPECT_LE(scheduled.took, kHour + 6min);
  EXPECT_GT(highest(by_series), 2 * highest(scheduled));
  EXPECT_LT(scheduled.jobs, by_series.jobs);
}

}  // namespace
}  // namespace isthmus::test
