// Opening, locking, reading beside the owner, being told of changes, dying.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>

#include "base/failpoint.h"
#include "contract/ledger/ledger_fixture.h"

namespace isthmus::test {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class LedgerLife : public LedgerTest {
 protected:
  LedgerOptions options(bool read_only = false) {
    LedgerOptions options;
    options.directory = env_.folder() / "ledger";
    options.destinations = {kCloud};
    options.read_only = read_only;
    return options;
  }
};

TEST_F(LedgerLife, HasOneOwnerAtATime) {
  EXPECT_THAT(open_sqlite_ledger(env_, options()), FailsWith("ledger.locked", Fate::permanent));

  close();

  EXPECT_THAT(open_sqlite_ledger(env_, options()), IsOk());
}

TEST_F(LedgerLife, KeepsEverythingOverARestart) {
  const InstanceId id = receive(1);
  const Filled submitted = batch_in(BatchState::submitted);

  close();
  open();

  EXPECT_TRUE(ledger_->has_instance(id).value());
  EXPECT_EQ(batch(submitted.batch).state, BatchState::submitted);
  EXPECT_TRUE(ledger_->record(arrival(1), nullptr)->known);
  expect_sound();
}

TEST_F(LedgerLife, CanBeReadBesideItsOwner) {
  const InstanceId before = receive(1);
  ASSERT_OK_AND_ASSIGN(const auto reader, open_sqlite_ledger(env_, options(true)));
  const InstanceId after = receive(2);

  EXPECT_TRUE(reader->has_instance(before).value());
  EXPECT_TRUE(reader->has_instance(after).value());
  EXPECT_THAT(*reader->counts(), SizeIs(1));
  EXPECT_THAT(*reader->check(), IsEmpty());
  EXPECT_THAT(reader->record(arrival(3), nullptr), FailsWith("ledger.read_only", Fate::permanent));
  EXPECT_THAT(reader->order_retry(before.text()), IsOk()) << "nothing to move, nothing to write";
}

TEST_F(LedgerLife, CanBeReadWhenNobodyOwnsIt) {
  const InstanceId id = receive(1);
  close();

  ASSERT_OK_AND_ASSIGN(const auto reader, open_sqlite_ledger(env_, options(true)));

  EXPECT_TRUE(reader->has_instance(id).value());
}

TEST_F(LedgerLife, ReadingWhatIsNotThereFails) {
  LedgerOptions elsewhere = options(true);
  elsewhere.directory = env_.folder() / "none";

  EXPECT_THAT(open_sqlite_ledger(env_, elsewhere), FailsWith("ledger.io"));
}

TEST_F(LedgerLife, TellsOfChangesThatAStepMayWaitFor) {
  std::atomic<int> told{0};
  ledger_->on_change([&] { ++told; });
  const Filled sealed = batch_in(BatchState::sealed);
  EXPECT_GT(told, 0);
  // The last change may be told just after its caller has its answer.
  ASSERT_THAT(ledger_->postpone(sealed.deliveries[0], some_error(), in(1)), IsOk());
  const int before = told;

  ASSERT_THAT(ledger_->postpone(sealed.deliveries[0], some_error(), in(1)), IsOk());
  ASSERT_THAT(ledger_->mark_staged(DeliveryId::make(env_), ""), FailsWith("ledger.not_found"));
  ASSERT_THAT(ledger_->postpone(sealed.deliveries[0], some_error(), in(1)), IsOk());
  EXPECT_EQ(told, before) << "postponing and failing are nobody's news";

  ledger_->on_change({});
  receive(1);
  EXPECT_EQ(told, before);
}

TEST_F(LedgerLife, StopsBeforeAnythingHappenedAndTwice) {
  ledger_->stop();
  ledger_->stop();

  EXPECT_THAT(ledger_->record(arrival(1), nullptr), FailsWith("ledger.closed", Fate::transient));
  EXPECT_THAT(ledger_->counts(), FailsWith("ledger.closed", Fate::transient));
}

TEST_F(LedgerLife, ALargeLogIsBroughtIntoTheDatabase) {
  for (int i = 0; i < 3000; ++i) receive(i);

  const auto size = [&](const char* name) {
    return posix_files()
        .open(env_.folder() / "ledger" / name, FileSystem::Mode::read_only)
        .value()
        ->size()
        .value();
  };
  EXPECT_LT(size("ledger.sqlite-wal"), 40 * MiB);
  EXPECT_GT(size("ledger.sqlite"), 1 * MiB);
}

TEST_F(LedgerLife, ClosesToOneFileThatIsWhole) {
  const InstanceId id = receive(1);
  EXPECT_TRUE(ledger_->has_instance(id).value()) << "so that there is a reader";

  close();

  EXPECT_EQ(posix_files().exists(env_.folder() / "ledger" / "ledger.sqlite-wal").value(), false);
}

// What a process that dies at a failpoint leaves to the next one.
class LedgerDeath : public LedgerLife, public testing::WithParamInterface<Failpoint> {
 protected:
  void SetUp() override {}

  class Bytes : public Durable {
   public:
    Result<void> make_durable() override { return {}; }
  };
};

TEST_P(LedgerDeath, LeavesTheRowExactlyWhenItWasCommitted) {
  const Arrival sent = arrival(1);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto ledger = open_sqlite_ledger(env_, options()).value();
    arm_failpoint(GetParam(), 1);
    Bytes bytes;
    ignore(ledger->record(sent, &bytes), "dies");
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  ASSERT_EQ(WTERMSIG(status), SIGKILL);

  open();

  EXPECT_EQ(ledger_->has_instance(sent.id).value(), GetParam() == Failpoint::ledger_committed);
  ASSERT_OK_AND_ASSIGN(const Receipt again, ledger_->record(sent, nullptr));
  EXPECT_EQ(again.known, GetParam() == Failpoint::ledger_committed);
  expect_sound();
}

INSTANTIATE_TEST_SUITE_P(Failpoints, LedgerDeath,
                         testing::Values(Failpoint::ledger_group_synced,
                                         Failpoint::ledger_committed),
                         [](const auto& point) {
                           return point.param == Failpoint::ledger_committed ? "Committed"
                                                                             : "GroupSynced";
                         });

}  // namespace
}  // namespace isthmus::test
