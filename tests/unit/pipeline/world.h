// One destination on fakes, and the way to each state of a batch by the steps themselves.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "pipeline/step.h"
#include "support/matchers.h"
#include "support/memory_import_service.h"
#include "support/memory_ledger.h"
#include "support/memory_object_store.h"
#include "support/memory_spool.h"
#include "support/test_env.h"

namespace isthmus::test {

using namespace std::chrono_literals;

inline Uid uid(const std::string& text) {
  return Uid::parse(text).value();
}

struct World {
  explicit World(ImportLimits limits = roomy(), std::vector<std::string> names = {"cloud"})
      : ledger(env, std::move(names)), service(limits, &store) {}

  // Nothing waits for the pace of starts, unless a test is about it.
  static ImportLimits roomy() {
    ImportLimits limits;
    limits.starts_per_second = 1000;
    limits.start_burst = 1000;
    return limits;
  }

  InstanceId receive(const std::string& study, int number, const std::string& file = "") {
    Identity identity;
    identity.sop_class_uid = uid("1.2.840.10008.5.1.4.1.1.2");
    identity.study_instance_uid = uid(study);
    identity.series_instance_uid = uid(study + ".1");
    identity.sop_instance_uid = uid(study + ".1." + std::to_string(number));
    const std::string bytes = file.empty() ? "bytes of " + std::to_string(number) : file;
    return spool.receive(identity, bytes)->id;
  }
  void receive_some(int count, const std::string& study = "1.2.3") {
    for (int i = 0; i < count; ++i) receive(study, ++received);
  }

  // A batch of `count` fresh instances of a study, in the state that the name says.
  BatchId sealed(int count, const std::string& study = "1.2.3") {
    receive_some(count, study);
    const auto batcher = make_batcher(env, ledger, destination, {});
    EXPECT_THAT(batcher->run_once(), IsOk());
    env.clock.advance(10s);
    EXPECT_THAT(batcher->run_once(), IsOk());
    return batches(BatchState::sealed).back().id;
  }
  BatchId staged(int count, const std::string& study = "1.2.3") {
    const BatchId batch = sealed(count, study);
    StagerOptions options;
    options.uploads = 1;
    EXPECT_THAT(make_stager(env, ledger, spool, destination, options)->run_once(), IsOk());
    EXPECT_EQ(batch_state(batch), BatchState::staged);
    return batch;
  }
  BatchId submitted(int count, const std::string& study = "1.2.3") {
    const BatchId batch = staged(count, study);
    EXPECT_THAT(make_submitter(env, ledger, destination, {})->run_once(), IsOk());
    EXPECT_EQ(batch_state(batch), BatchState::submitted);
    return batch;
  }
  BatchId settled(int count, const std::string& study = "1.2.3") {
    const BatchId batch = submitted(count, study);
    const auto watcher = make_watcher(env, ledger, destination, {});
    for (int i = 0; i < 20 && batch_state(batch) == BatchState::submitted; ++i) {
      env.clock.advance(60s);
      EXPECT_THAT(watcher->run_once(), IsOk());
    }
    EXPECT_EQ(batch_state(batch), BatchState::settled);
    return batch;
  }
  BatchId reconciled(int count, const std::string& study = "1.2.3") {
    const BatchId batch = settled(count, study);
    EXPECT_THAT(make_reconciler(env, ledger, destination, {})->run_once(), IsOk());
    EXPECT_EQ(batch_state(batch), BatchState::reconciled);
    return batch;
  }

  std::vector<Batch> batches(BatchState state) { return *ledger.batches("cloud", state, 1000); }
  Batch batch(const BatchId& id) { return **ledger.batch(id); }
  BatchState batch_state(const BatchId& id) { return batch(id).state; }
  std::vector<Expected> members(const BatchId& id) { return *ledger.expected(id, "gw"); }
  std::vector<Delivery> deliveries() {
    std::vector<Delivery> all;
    const std::vector<InstanceView> views = *ledger.instances("all", 100'000);
    for (const InstanceView& view : views) {
      all.insert(all.end(), view.deliveries.begin(), view.deliveries.end());
    }
    return all;
  }
  int in_state(DeliveryState state) {
    int count = 0;
    for (const Delivery& delivery : deliveries()) count += delivery.state == state ? 1 : 0;
    return count;
  }
  double metric(std::string_view name, MetricLabels labels) {
    return env.metrics->counter(name, "", labels).value();
  }
  WallTime now() const { return env.clock.wall_now(); }

  TestEnv env;
  MemoryLedger ledger;
  MemorySpool spool{env, ledger};
  MemoryObjectStore store;
  MemoryImportService service;
  Destination destination{"cloud", "gw", store, service};
  int received = 0;
};

// Every call of `calls` that fails makes the step fail with that very error: a step never goes on
// with a ledger that did not do what it was asked to.
template <typename MakeStep, typename Arrange>
void expect_ledger_errors_reach_the_runner(const std::vector<std::string>& calls, Arrange arrange,
                                           MakeStep make_step) {
  for (const std::string& call : calls) {
    SCOPED_TRACE(call);
    World world;
    arrange(world);
    world.ledger.refuse(call, fatal_error("ledger.io", "The disk is gone."));

    const auto result = make_step(world)->run_once();

    EXPECT_THAT(result, FailsWith("ledger.io", Fate::fatal));
  }
}

}  // namespace isthmus::test
