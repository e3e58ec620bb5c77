// One of two destinations is out for a day, and its bucket and service come back with little to
// spare. The other one is not delayed by it, what waits is seen, nothing is given up, and what was
// missed is made up for at the pace that was allowed. The whole pipeline on a fake clock.
#include <algorithm>
#include <iostream>

#include "pipeline/scheduler.h"
#include "unit/pipeline/world.h"

namespace isthmus::test {
namespace {

constexpr int kStudies = 48;  // one each half an hour
constexpr int kImages = 4;
constexpr Milliseconds kDay = 24h;
constexpr Milliseconds kBetween = kDay / kStudies;
constexpr std::size_t kImageBytes = 60'000;
constexpr double kStartsPerSecond = 0.01;       // of the one that was out
constexpr double kUploadBytesPerSecond = 2000;  // likewise

ImportLimits of_near() {
  return World::roomy();
}
ImportLimits of_far() {
  ImportLimits limits;
  limits.starts_per_second = kStartsPerSecond;
  limits.start_burst = 1;
  limits.jobs_at_once = 2;
  return limits;
}

// A destination with everything of its own but the ledger and the spool.
struct Site {
  Site(Env& env, Ledger& ledger, Spool& spool, std::string name, ImportLimits limits,
       std::uint64_t bytes_per_second)
      : service(limits, &store), destination{std::move(name), "gw", store, service} {
    SchedulerOptions options;
    options.uploads = 1;
    options.upload_bytes_per_second = bytes_per_second;
    scheduler = make_scheduler(env, destination.name, limits, options);
    StagerOptions stager;
    stager.uploads = 1;
    stager.attempts = 5;
    stager.scheduler = scheduler.get();
    SubmitterOptions submitter;
    submitter.scheduler = scheduler.get();
    WatcherOptions watcher;
    watcher.scheduler = scheduler.get();
    steps.push_back(make_batcher(env, ledger, destination, {10s, 300s, scheduler.get()}));
    steps.push_back(make_stager(env, ledger, spool, destination, stager));
    steps.push_back(make_submitter(env, ledger, destination, submitter));
    steps.push_back(make_watcher(env, ledger, destination, watcher));
    steps.push_back(make_reconciler(env, ledger, destination, {}));
  }
  void set_out(bool out) {
    store.set_hook([out](MemoryObjectStore::Call, const ObjectKey&) -> std::optional<Error> {
      if (out) return transient_error("http.connect", "Nobody listens.");
      return std::nullopt;
    });
    service.set_hook([out](MemoryImportService::Call) -> std::optional<Error> {
      if (out) return MemoryImportService::unavailable();
      return std::nullopt;
    });
  }

  MemoryObjectStore store;
  MemoryImportService service;
  Destination destination;
  std::unique_ptr<Scheduler> scheduler;
  std::vector<std::unique_ptr<Step>> steps;
};

class TwoDestinations : public testing::Test {
 protected:
  void run_until(SteadyTime end) {
    while (env.clock.steady_now() < end) {
      Milliseconds in = 30s;
      for (Site* site : {&near, &far}) {
        for (const auto& step : site->steps) {
          const auto next = step->run_once();
          ASSERT_THAT(next, IsOk());
          in = std::min(in, next->in);
        }
      }
      env.clock.advance(std::clamp<Milliseconds>(in, 100ms, 30s));
    }
  }
  void receive(int study) {
    for (int image = 1; image <= kImages; ++image) {
      Identity identity;
      identity.sop_class_uid = uid("1.2.840.10008.5.1.4.1.1.2");
      identity.study_instance_uid = uid("1.2." + std::to_string(study));
      identity.series_instance_uid = uid("1.2." + std::to_string(study) + ".1");
      identity.sop_instance_uid =
          uid("1.2." + std::to_string(study) + ".1." + std::to_string(image));
      ASSERT_THAT(spool.receive(identity, std::string(kImageBytes, 'x')), IsOk());
    }
  }
  int in_state(const std::string& destination, DeliveryState state) {
    int count = 0;
    const std::vector<InstanceView> views = *ledger.instances("all", 100'000);
    for (const InstanceView& view : views) {
      for (const Delivery& one : view.deliveries) {
        count += one.destination == destination && one.state == state ? 1 : 0;
      }
    }
    return count;
  }
  static std::uint64_t staged_at(const Site& site) {
    const std::vector<ObjectKey> keys = site.store.keys();
    return static_cast<std::uint64_t>(std::ranges::count_if(
        keys, [](const ObjectKey& key) { return key.text.ends_with(".dcm"); }));
  }
  int imported(const std::string& destination) {
    return in_state(destination, DeliveryState::imported);
  }

  TestEnv env;
  MemoryLedger ledger{env, {"near", "far"}};
  MemorySpool spool{env, ledger};
  Site near{env, ledger, spool, "near", of_near(), 0};
  Site far{env, ledger, spool, "far", of_far(), static_cast<std::uint64_t>(kUploadBytesPerSecond)};
};

TEST_F(TwoDestinations, OneIsOutForADayAndTheOtherDoesNotNotice) {
  far.set_out(true);
  const SteadyTime begun = env.clock.steady_now();
  for (int study = 1; study <= kStudies; ++study) {
    receive(study);
    run_until(begun + study * kBetween);
    // Not delayed: what came half an hour ago is there.
    ASSERT_EQ(imported("near"), study * kImages);
  }

  // Not unseen, and nobody's attempts are used up.
  EXPECT_EQ(imported("far"), 0);
  EXPECT_EQ(in_state("far", DeliveryState::waiting), kStudies * kImages);
  EXPECT_NE(far.scheduler->state().bucket_circuit, "closed");
  EXPECT_TRUE(env.log.contains("warn destination.out destination=far"));
  EXPECT_FALSE(env.log.contains("destination.out destination=near"));
  EXPECT_LT(far.store.calls(MemoryObjectStore::Call::put), 24 * 60);  // probes, and no storm

  far.set_out(false);
  const SteadyTime back = env.clock.steady_now();
  const std::size_t jobs_before = far.service.jobs().size();
  std::uint64_t most_per_hour = 0;
  int studies = kStudies;
  std::uint64_t uploaded = 0;
  while (imported("far") < studies * kImages) {
    ASSERT_LT(env.clock.steady_now() - back, kDay) << imported("far");
    receive(++studies);  // the day goes on meanwhile
    run_until(env.clock.steady_now() + 1h);
    ASSERT_EQ(imported("near"), studies * kImages);
    const std::uint64_t now = staged_at(far) * kImageBytes;
    most_per_hour = std::max(most_per_hour, now - uploaded);
    uploaded = now;
  }
  const auto took = std::chrono::duration<double>(env.clock.steady_now() - back).count();
  const std::size_t jobs = far.service.jobs().size() - jobs_before;
  std::cout << "caught up after " << took / 3600 << " h by " << jobs << " jobs, at most "
            << most_per_hour / 3600 << " bytes a second in an hour\n";

  // Caught up at a bounded rate, and each instance once.
  EXPECT_LE(static_cast<double>(jobs), took * kStartsPerSecond + 2);
  EXPECT_LE(static_cast<double>(most_per_hour), 3600 * kUploadBytesPerSecond + 2 * kImageBytes);
  EXPECT_EQ(far.scheduler->state().bucket_circuit, "closed");
  EXPECT_EQ(in_state("far", DeliveryState::quarantined), 0);
  EXPECT_TRUE(env.log.contains("info destination.back destination=far"));
}

}  // namespace
}  // namespace isthmus::test
