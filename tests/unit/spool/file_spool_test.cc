// The file spool's order of syncs, its answers to a failing disk, and what it costs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/failpoint.h"
#include "model/layout.h"
#include "spool/admission.h"
#include "spool/spool.h"
#include "support/incoming.h"
#include "support/intake_ledger.h"
#include "support/matchers.h"
#include "support/power_loss_files.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FileSpoolTest : public ::testing::Test {
 protected:
  FileSpoolTest() {
    auto opened = open_file_spool(env, "/spool", ledger, admission);
    EXPECT_THAT(opened, IsOk());
    spool = std::move(opened).value();
    files.forget_operations();
  }

  // What was done to the disk, without names, and "row" where the row was written.
  std::vector<std::string> story() {
    std::vector<std::string> lines;
    for (const auto& entry : files.operations()) lines.emplace_back(to_string(entry.operation));
    if (row_after_) lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(*row_after_), "row");
    return lines;
  }
  void note_row() {
    ledger.before_row = [this] { row_after_ = files.operations().size(); };
  }
  std::vector<std::string> files_on_disk() {
    std::vector<std::string> all;
    for (std::size_t i = 0; i < layout::kSpoolFolders; ++i) {
      for (const auto& name : files.list("/spool/" + layout::spool_folder(i)).value()) {
        all.push_back(name);
      }
    }
    return all;
  }

  PowerLossFiles files;
  TestEnv env{1, files};
  IntakeLedger ledger{env};
  Admission admission{env,
                      {.directory = "/spool", .reserve_bytes = 1 * MiB, .resume_bytes = 2 * MiB}};
  std::unique_ptr<Spool> spool;
  std::optional<std::size_t> row_after_;
};

TEST_F(FileSpoolTest, SyncsFileThenRenamesThenSyncsTheDirectoryThenMakesTheRow) {
  note_row();

  ASSERT_THAT(send(*spool, make_sent(1, 20'000)), IsOk());

  EXPECT_THAT(story(), ElementsAre("open", "append", "sync", "rename", "sync_directory", "row"));
}

TEST_F(FileSpoolTest, TouchesNothingBeforeThereIsAPieceToWrite) {
  ASSERT_OK_AND_ASSIGN(auto incoming, spool->begin({}));
  ASSERT_THAT(incoming->append(as_bytes(std::string(100 * KiB, 'x'))), IsOk());
  incoming.reset();

  EXPECT_THAT(files.operations(), IsEmpty());
}

TEST_F(FileSpoolTest, ReachesItsFailpointsInOrder) {
  for (const Failpoint point : {Failpoint::spool_begun, Failpoint::spool_bytes_written,
                                Failpoint::spool_file_synced, Failpoint::spool_renamed}) {
    files.forget_operations();
    std::vector<std::string> before;
    arm_failpoint(point, 1, [&] { before = story(); });

    ASSERT_THAT(send(*spool, make_sent(static_cast<std::uint64_t>(point) + 1, 1000)), IsOk());
    disarm_failpoints();

    const std::vector<std::string> all{"open", "append", "sync", "rename"};
    const auto reached = static_cast<std::ptrdiff_t>(point) -
                         static_cast<std::ptrdiff_t>(Failpoint::spool_begun) + 1;
    EXPECT_EQ(before, std::vector<std::string>(all.begin(), all.begin() + reached))
        << to_string(point);
  }
}

TEST_F(FileSpoolTest, ALargeInstanceStreamsInBoundedPiecesAndIsSyncedOnTheWay) {
  const std::string piece(128 * KiB, 'x');
  ASSERT_OK_AND_ASSIGN(const auto incoming, spool->begin({}));
  incoming->dataset_begins();

  for (int i = 0; i < 1600; ++i) {  // 200 MiB
    ASSERT_THAT(incoming->append(as_bytes(piece)), IsOk());
  }

  EXPECT_EQ(files.largest_write_bytes(), 256 * KiB);
  EXPECT_EQ(files.count(FileOperation::append), 800u);
  EXPECT_EQ(files.count(FileOperation::sync), 3u);
}

TEST_F(FileSpoolTest, InstancesThatComeTogetherWaitForOneDirectory) {
  for (std::uint64_t n = 1; n <= 20; ++n) {
    ASSERT_THAT(send(*spool, make_sent(n, 100)), IsOk());
    env.clock.advance(Milliseconds(10));
  }
  EXPECT_THAT(ledger.durables(), Each(ledger.durables().front()));

  env.clock.advance(Milliseconds(4096));
  ASSERT_THAT(send(*spool, make_sent(99, 100)), IsOk());
  EXPECT_NE(ledger.durables().back(), ledger.durables().front());
}

TEST_F(FileSpoolTest, AFailedFileSyncGivesUpThisPartOnlyAndIsNotRepeated) {
  ASSERT_OK_AND_ASSIGN(const auto other, spool->begin({}));
  const Sent other_sent = make_sent(2, 400'000);
  ASSERT_THAT(append_all(*other, other_sent), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto incoming, spool->begin({}));
  const Sent sent = make_sent(1, 400'000);
  ASSERT_THAT(append_all(*incoming, sent), IsOk());
  files.fail_next_sync();

  EXPECT_THAT(incoming->commit(sent.identified), FailsWith("spool.io", Fate::transient));
  EXPECT_THAT(incoming->commit(sent.identified), FailsWith("spool.io", Fate::transient));

  EXPECT_EQ(files.count(FileOperation::sync), 0u);
  EXPECT_THAT(files_on_disk(), SizeIs(1));
  EXPECT_TRUE(admission.is_open());
  EXPECT_THAT(env.fatals(), IsEmpty());
  EXPECT_THAT(other->commit(other_sent.identified), IsOk());
}

TEST_F(FileSpoolTest, AFailedDirectorySyncIsFatalAndIsNotRepeated) {
  const Sent sent = make_sent(1, 1000);
  ASSERT_OK_AND_ASSIGN(const auto late, spool->begin({}));
  const Sent late_sent = make_sent(2, 1000);
  ASSERT_THAT(append_all(*late, late_sent), IsOk());
  files.fail_next_directory_sync();

  EXPECT_THAT(send(*spool, sent), FailsWith("spool.directory_sync_failed", Fate::fatal));

  EXPECT_EQ(admission.state(), AdmissionState::failed);
  ASSERT_THAT(env.fatals(), SizeIs(1));
  EXPECT_EQ(env.fatals().front().code, "spool.directory_sync_failed");
  EXPECT_THAT(ledger.arrivals(), IsEmpty());
  EXPECT_THAT(spool->begin({}), FailsWith("spool.closed"));
  EXPECT_THAT(late->commit(late_sent.identified), FailsWith("spool.closed"));
  // Even one who gets past admission is not told that the folder is durable now.
  ASSERT_THAT(ledger.durables(), IsEmpty());
  EXPECT_EQ(files.count(FileOperation::sync_directory), 0u);
}

TEST_F(FileSpoolTest, ADirectoryWhoseSyncFailedStaysFailed) {
  Durable* folder = nullptr;
  ASSERT_THAT(send(*spool, make_sent(1, 100)), IsOk());
  folder = ledger.durables().front();
  files.fail_next_directory_sync();

  EXPECT_THAT(folder->make_durable(), FailsWith("spool.directory_sync_failed", Fate::fatal));
  EXPECT_THAT(folder->make_durable(), FailsWith("spool.directory_sync_failed", Fate::fatal));
}

TEST_F(FileSpoolTest, ADirectoryThatIsFullIsNotFatal) {
  files.fail_next(FileOperation::sync_directory, transient_error("disk.full", "No space."));

  EXPECT_THAT(send(*spool, make_sent(1, 1000)), FailsWith("spool.full", Fate::transient));

  EXPECT_THAT(files_on_disk(), IsEmpty());
  EXPECT_THAT(env.fatals(), IsEmpty());
  EXPECT_THAT(send(*spool, make_sent(1, 1000)), IsOk());
}

TEST_F(FileSpoolTest, AFullDiskIsAnsweredAndClosesAdmission) {
  files.set_free_bytes(700'000);
  ASSERT_TRUE(admission.is_open());  // not measured again yet

  EXPECT_THAT(send(*spool, make_sent(1, 2 * MiB)), FailsWith("spool.full", Fate::transient));

  EXPECT_EQ(admission.state(), AdmissionState::full);
  EXPECT_THAT(files_on_disk(), IsEmpty());
  EXPECT_EQ(files.space("/spool")->free_bytes, 700'000u);
}

TEST_F(FileSpoolTest, WhatWasBegunIsCutOnceHalfOfTheReserveIsGone) {
  ASSERT_OK_AND_ASSIGN(const auto incoming, spool->begin({}));
  const std::string piece(256 * KiB, 'x');
  ASSERT_THAT(incoming->append(as_bytes(piece)), IsOk());
  files.set_free_bytes(900 * KiB);
  admission.refresh();
  EXPECT_THAT(incoming->append(as_bytes(piece)), IsOk());

  files.set_free_bytes(500 * KiB);
  admission.refresh();

  EXPECT_THAT(incoming->append(as_bytes(piece)), FailsWith("spool.full"));
  EXPECT_THAT(incoming->append(as_bytes(piece)), FailsWith("spool.full"));
  EXPECT_THAT(files_on_disk(), IsEmpty());
}

TEST_F(FileSpoolTest, AFailingOpenWriteOrRenameIsThisInstancesOnly) {
  for (const FileOperation operation :
       {FileOperation::open, FileOperation::append, FileOperation::rename}) {
    files.fail_next(operation, PowerLossFiles::disk_io_error());

    EXPECT_THAT(send(*spool, make_sent(1, 1000)), FailsWith("spool.io", Fate::transient))
        << to_string(operation);

    EXPECT_THAT(files_on_disk(), IsEmpty());
    EXPECT_THAT(ledger.arrivals(), IsEmpty());
  }
  EXPECT_THAT(send(*spool, make_sent(1, 1000)), IsOk());
}

TEST_F(FileSpoolTest, FreeingIsDurable) {
  ASSERT_THAT(send(*spool, make_sent(1, 1000)), IsOk());
  ASSERT_THAT(spool->free(ledger.arrivals().front().spool_ref), IsOk());

  files.cut_power();
  files.power_on();

  EXPECT_THAT(files_on_disk(), IsEmpty());
}

TEST_F(FileSpoolTest, FreeingWhatIsGoneStillSyncsTheDirectory) {
  ASSERT_THAT(send(*spool, make_sent(1, 1000)), IsOk());
  const SpoolRef ref = ledger.arrivals().front().spool_ref;
  ASSERT_THAT(files.remove("/spool/" + ref.text),
              IsOk());  // by a process that died before its sync

  ASSERT_THAT(spool->free(ref), IsOk());
  files.cut_power();
  files.power_on();

  EXPECT_THAT(files_on_disk(), IsEmpty());
}

TEST_F(FileSpoolTest, RecoveryDiscardsPartFiles) {
  ASSERT_OK_AND_ASSIGN(auto incoming, spool->begin({}));
  ASSERT_THAT(append_all(*incoming, make_sent(1, 1 * MiB)), IsOk());
  ASSERT_THAT(files_on_disk(), SizeIs(1));
  ASSERT_OK_AND_ASSIGN(const auto next, open_file_spool(env, "/spool", ledger, admission));

  EXPECT_EQ(next->recover().value(), 1u);

  EXPECT_THAT(files_on_disk(), IsEmpty());
}

TEST_F(FileSpoolTest, RecoveryLeavesStrangersAlone) {
  ASSERT_THAT(files.open("/spool/00/lost+found", FileSystem::Mode::create_new), IsOk());

  EXPECT_EQ(spool->recover().value(), 0u);

  EXPECT_THAT(files_on_disk(), ElementsAre("lost+found"));
  EXPECT_TRUE(env.log.contains("warn spool.stranger folder=00"));
}

TEST_F(FileSpoolTest, RecoveryRefusesALedgerThatKnowsNothingOfTheSpool) {
  for (std::uint64_t n = 1; n <= 1025; ++n) ASSERT_THAT(send(*spool, make_sent(n, 10)), IsOk());
  IntakeLedger another(env);
  ASSERT_OK_AND_ASSIGN(const auto next, open_file_spool(env, "/spool", another, admission));

  EXPECT_THAT(next->recover(), FailsWith("spool.unclaimed", Fate::permanent));

  EXPECT_THAT(files_on_disk(), SizeIs(1025));
}

TEST_F(FileSpoolTest, RecoveryTouchesNothingWhenTheLedgerCannotAnswer) {
  class DeafLedger : public IntakeLedger {
   public:
    using IntakeLedger::IntakeLedger;
    Result<bool> names(const SpoolRef&) override {
      return fatal_error("ledger.io", "Cannot read.");
    }
  } deaf(env);
  ASSERT_THAT(send(*spool, make_sent(1, 10)), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto next, open_file_spool(env, "/spool", deaf, admission));

  EXPECT_THAT(next->recover(), FailsWith("ledger.io"));

  EXPECT_THAT(files_on_disk(), SizeIs(1));
}

TEST_F(FileSpoolTest, FoldersSurviveAPowerCutAtOnce) {
  files.cut_power();
  files.power_on();

  EXPECT_THAT(files.list("/spool").value(), SizeIs(layout::kSpoolFolders));
}

TEST_F(FileSpoolTest, CountsWhatIsInFlight) {
  ASSERT_OK_AND_ASSIGN(auto incoming, spool->begin({}));
  ASSERT_THAT(append_all(*incoming, make_sent(1, 5000)), IsOk());
  EXPECT_EQ(admission.in_flight_bytes(),
            static_cast<std::int64_t>(make_sent(1, 5000).whole().size()));

  EXPECT_THAT(incoming->commit(make_sent(1, 5000).identified), IsOk());
  incoming.reset();

  EXPECT_EQ(admission.in_flight_bytes(), 0);
  EXPECT_EQ(env.metrics->counter("spool_instances_begun_total", "").value(), 1);
}

TEST_F(FileSpoolTest, ReadFailuresAreTransient) {
  ASSERT_THAT(send(*spool, make_sent(1, 1000)), IsOk());
  const SpoolRef ref = ledger.arrivals().front().spool_ref;

  files.fail_next(FileOperation::open, PowerLossFiles::disk_io_error());
  EXPECT_THAT(spool->open(ref), FailsWith("spool.io", Fate::transient));
  files.fail_next(FileOperation::remove, PowerLossFiles::disk_io_error());
  EXPECT_THAT(spool->free(ref), FailsWith("spool.io", Fate::transient));
  EXPECT_THAT(spool->open(ref), IsOk());
}

}  // namespace
}  // namespace isthmus::test
