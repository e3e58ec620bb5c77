// Group commit: who waits together shares one sync and one commit, and nobody is answered before
// both.
#include <atomic>
#include <thread>

#include "base/failpoint.h"
#include "base/thread.h"
#include "contract/ledger/ledger_fixture.h"

namespace isthmus::test {
namespace {

using testing::SizeIs;

// Counts; may fail; tells what it sees of the ledger while it is asked.
class FakeBytes : public Durable {
 public:
  Result<void> make_durable() override {
    ++syncs;
    if (meanwhile) meanwhile();
    if (error) return *error;
    return {};
  }
  std::atomic<int> syncs{0};
  std::function<void()> meanwhile;
  std::optional<Error> error;
};

class LedgerGroup : public LedgerTest {
 protected:
  void SetUp() override {}
  void open_with(std::size_t group_limit) {
    LedgerOptions options;
    options.directory = env_.folder() / "ledger";
    options.destinations = {kCloud};
    options.group_limit = group_limit;
    ledger_ = open_sqlite_ledger(env_, options).value();
  }
  double metric(const char* name) { return env_.metrics->counter(name, "").value(); }

  // Runs all of `calls`, each in a thread, so that they wait for the committer at the same time: it
  // is held in another group until all of them are in the queue.
  void run_together(const std::vector<std::function<void()>>& calls) {
    Gauge& queued = env_.metrics->gauge("ledger_queued_calls", "");
    FakeBytes gate;
    std::atomic<bool> held{false};
    gate.meanwhile = [&] {
      held = true;
      held.notify_all();
      while (queued.value() < static_cast<double>(calls.size())) std::this_thread::yield();
    };
    const Arrival first = arrival(999'999);
    std::vector<Thread> threads;
    threads.emplace_back(env_, "gate", [&] { EXPECT_THAT(ledger_->record(first, &gate), IsOk()); });
    held.wait(false);
    for (const auto& call : calls) threads.emplace_back(env_, "caller", call);
  }
};

TEST_F(LedgerGroup, WhoWaitsTogetherSharesOneSyncAndOneCommit) {
  open_with(64);
  FakeBytes segment;
  std::vector<Arrival> arrivals;
  std::vector<std::function<void()>> calls;
  for (int i = 0; i < 16; ++i) arrivals.push_back(arrival(i));
  for (const Arrival& one : arrivals) {
    calls.push_back([&] { EXPECT_THAT(ledger_->record(one, &segment), IsOk()); });
  }

  run_together(calls);

  EXPECT_EQ(segment.syncs, 1);
  EXPECT_EQ(metric("ledger_commits_total"), 2);  // the gate's, and theirs
  EXPECT_THAT(*ledger_->waiting_deliveries(kCloud, now(), 100), SizeIs(17));
}

TEST_F(LedgerGroup, AGroupHasALimit) {
  open_with(4);
  FakeBytes segment;
  std::vector<Arrival> arrivals;
  std::vector<std::function<void()>> calls;
  for (int i = 0; i < 8; ++i) arrivals.push_back(arrival(i));
  for (const Arrival& one : arrivals) {
    calls.push_back([&] { EXPECT_THAT(ledger_->record(one, &segment), IsOk()); });
  }

  run_together(calls);

  EXPECT_EQ(segment.syncs, 2);
}

TEST_F(LedgerGroup, EachDistinctObjectIsSyncedOnce) {
  open_with(64);
  FakeBytes left;
  FakeBytes right;
  std::vector<Arrival> arrivals;
  std::vector<std::function<void()>> calls;
  for (int i = 0; i < 6; ++i) arrivals.push_back(arrival(i));
  for (std::size_t i = 0; i < 6; ++i) {
    FakeBytes& bytes = i % 2 == 0 ? left : right;
    calls.push_back([&, i] { EXPECT_THAT(ledger_->record(arrivals[i], &bytes), IsOk()); });
  }

  run_together(calls);

  EXPECT_EQ(left.syncs, 1);
  EXPECT_EQ(right.syncs, 1);
}

TEST_F(LedgerGroup, BytesComeBeforeRowsAndRowsBeforeTheAnswer) {
  open_with(64);
  const Arrival sent = arrival(1);
  FakeBytes bytes;
  std::optional<bool> row_while_syncing;
  std::optional<bool> row_after_sync;
  std::optional<bool> row_after_commit;
  std::atomic<bool> answered{false};
  bytes.meanwhile = [&] {
    row_while_syncing = ledger_->has_instance(sent.id).value();
    arm_failpoint(Failpoint::ledger_group_synced, 1, [&] {
      row_after_sync = ledger_->has_instance(sent.id).value();
      EXPECT_EQ(bytes.syncs, 1);
      arm_failpoint(Failpoint::ledger_committed, 1, [&] {
        row_after_commit = ledger_->has_instance(sent.id).value();
        EXPECT_FALSE(answered);
      });
    });
  };

  ASSERT_THAT(ledger_->record(sent, &bytes), IsOk());
  answered = true;
  disarm_failpoints();

  EXPECT_EQ(row_while_syncing, false);
  EXPECT_EQ(row_after_sync, false);
  EXPECT_EQ(row_after_commit, true);
}

TEST_F(LedgerGroup, AFullDiskRefusesOnlyThoseWhoseBytesItConcerns) {
  open_with(64);
  FakeBytes full;
  FakeBytes fine;
  full.error = transient_error("disk.full", "No space.");
  const Arrival lost = arrival(1);
  const Arrival kept = arrival(2);

  run_together(
      {[&] { EXPECT_THAT(ledger_->record(lost, &full), FailsWith("disk.full", Fate::transient)); },
       [&] { EXPECT_THAT(ledger_->record(kept, &fine), IsOk()); }});

  EXPECT_FALSE(ledger_->has_instance(lost.id).value());
  EXPECT_TRUE(ledger_->has_instance(kept.id).value());
  EXPECT_THAT(env_.fatals(), SizeIs(0));
  EXPECT_THAT(ledger_->record(arrival(3), nullptr), IsOk());
}

TEST_F(LedgerGroup, AnyOtherFailedSyncIsFatalForAllWhoWaitAndForGood) {
  open_with(64);
  FakeBytes broken;
  FakeBytes fine;
  broken.error = permanent_error("disk.io", "The device does not answer.");
  const Arrival lost = arrival(1);
  const Arrival bystander = arrival(2);

  run_together(
      {[&] { EXPECT_THAT(ledger_->record(lost, &broken), FailsWith("ledger.io", Fate::fatal)); },
       [&] {
         EXPECT_THAT(ledger_->record(bystander, &fine), FailsWith("ledger.io", Fate::fatal));
       }});

  EXPECT_THAT(env_.fatals(), SizeIs(1));
  EXPECT_EQ(broken.syncs, 1);
  EXPECT_FALSE(ledger_->has_instance(lost.id).value());
  EXPECT_FALSE(ledger_->has_instance(bystander.id).value());
  EXPECT_THAT(ledger_->record(arrival(3), nullptr), FailsWith("ledger.io", Fate::fatal));
  EXPECT_THAT(env_.fatals(), SizeIs(1));
}

TEST_F(LedgerGroup, OneThatCannotBeStoredDoesNotTakeItsNeighboursAlong) {
  open_with(64);
  const InstanceId taken = receive(1);
  Arrival bad = arrival(2);
  bad.id = taken;
  const Arrival left = arrival(3);
  const Arrival right = arrival(4);

  run_together({[&] { EXPECT_THAT(ledger_->record(left, nullptr), IsOk()); },
                [&] { EXPECT_THAT(ledger_->record(bad, nullptr), FailsWith("ledger.constraint")); },
                [&] { EXPECT_THAT(ledger_->record(right, nullptr), IsOk()); }});

  EXPECT_TRUE(ledger_->has_instance(left.id).value());
  EXPECT_TRUE(ledger_->has_instance(right.id).value());
  EXPECT_THAT(*ledger_->waiting_deliveries(kCloud, now(), 100), SizeIs(4));
  expect_sound();
}

TEST_F(LedgerGroup, ARefusedTransitionLeavesTheRestOfItsGroupAlone) {
  open_with(64);
  const Filled open_batch = batch_in(BatchState::open);
  const DeliveryId held = delivery_in(DeliveryState::quarantined);
  const Arrival fresh = arrival(1);

  run_together(
      {[&] { EXPECT_THAT(ledger_->mark_staged(held, ""), FailsWith("ledger.no_transition")); },
       [&] { EXPECT_THAT(ledger_->record(fresh, nullptr), IsOk()); },
       [&] {
         EXPECT_THAT(ledger_->advance(open_batch.batch, BatchEvent::seal, nullptr), IsOk());
       }});

  EXPECT_EQ(batch(open_batch.batch).state, BatchState::sealed);
  EXPECT_TRUE(ledger_->has_instance(fresh.id).value());
  expect_sound();
}

TEST_F(LedgerGroup, StopFinishesWhatIsQueuedAndThenRefuses) {
  open_with(2);
  std::vector<Arrival> arrivals;
  std::vector<std::function<void()>> calls;
  for (int i = 0; i < 6; ++i) arrivals.push_back(arrival(i));
  for (const Arrival& one : arrivals) {
    calls.push_back([&] { EXPECT_THAT(ledger_->record(one, nullptr), IsOk()); });
  }
  std::optional<Thread> stopper;
  arm_failpoint(Failpoint::ledger_committed, 1, [&] {
    // The gate's group is written, theirs are in the queue: now somebody stops the ledger.
    stopper.emplace(env_, "stopper", [this] { ledger_->stop(); });
  });

  run_together(calls);
  disarm_failpoints();
  ASSERT_TRUE(stopper);
  stopper->join();
  ledger_->stop();

  EXPECT_THAT(ledger_->record(arrival(100), nullptr), FailsWith("ledger.closed", Fate::transient));
  EXPECT_THAT(ledger_->has_instance(arrivals[0].id), FailsWith("ledger.closed", Fate::transient));
  close();
  open();
  EXPECT_THAT(*ledger_->waiting_deliveries(kCloud, now(), 100), SizeIs(7));
}

}  // namespace
}  // namespace isthmus::test
