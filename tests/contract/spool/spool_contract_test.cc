// What every spool promises (spool/spool.h), on every spool and every disk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "base/thread.h"
#include "model/layout.h"
#include "spool/admission.h"
#include "spool/segments/segment_spool.h"
#include "spool/spool.h"
#include "support/incoming.h"
#include "support/intake_ledger.h"
#include "support/matchers.h"
#include "support/memory_spool.h"
#include "support/power_loss_files.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

// One implementation on something that outlives its process.
class World {
 public:
  explicit World(FileSystem& files) : env(1, files) { reopen_admission(); }
  virtual ~World() = default;

  virtual Spool& spool() = 0;
  // As after a crash: what was being received is gone with the process.
  virtual void restart() = 0;
  // How many instances' bytes, or parts of them, take up space.
  virtual std::size_t count_held() = 0;
  // False: the bytes are the promise, and rows follow.
  virtual bool row_is_the_promise() const { return true; }
  virtual bool takes_file_digests() const { return true; }

  TestEnv env;
  IntakeLedger ledger{env};
  std::unique_ptr<Admission> admission;

 protected:
  void reopen_admission() {
    EXPECT_THAT(env.env().files.create_directories(directory), IsOk());
    admission = std::make_unique<Admission>(
        env, AdmissionOptions{.directory = directory, .reserve_bytes = 0, .resume_bytes = 0});
  }
  const FileSystem::Path directory = env.folder() / "spool";
};

class FileWorld : public World {
 public:
  explicit FileWorld(FileSystem& files) : World(files) { restart(); }
  Spool& spool() override { return *spool_; }
  void restart() override {
    spool_.reset();
    reopen_admission();
    auto opened = open_file_spool(env, directory, ledger, *admission);
    ASSERT_THAT(opened, IsOk());
    spool_ = std::move(opened).value();
  }
  std::size_t count_held() override {
    std::size_t count = 0;
    for (const std::string& folder : env.env().files.list(directory).value()) {
      if (folder == layout::kSegmentFolder) continue;
      count += env.env().files.list(directory / folder).value().size();
    }
    return count;
  }

 protected:
  std::unique_ptr<Spool> spool_;
};

// Small segments, so that they come and go; what is larger than 600 KB is in files.
class SegmentWorld : public FileWorld {
 public:
  explicit SegmentWorld(FileSystem& files) : FileWorld(files) { restart(); }
  void restart() override {
    spool_.reset();
    reopen_admission();
    SegmentOptions options;
    options.segment_bytes = 2 * MiB;
    options.max_instance_bytes = 600'000;
    options.reserve_bytes = 0;
    auto opened = open_segment_spool(env, directory, ledger, *admission, options);
    ASSERT_THAT(opened, IsOk());
    spool_ = std::move(opened).value();
    ASSERT_THAT(spool_->recover(), IsOk());
  }
  std::size_t count_held() override {
    EXPECT_THAT(spool_->catch_up(), IsOk());
    return FileWorld::count_held() + static_cast<segments::SegmentSpool&>(*spool_).kept_records();
  }
  bool row_is_the_promise() const override { return false; }
  bool takes_file_digests() const override { return false; }
};

struct MemoryDisk {
  PowerLossFiles disk;
};
class MemorySegmentWorld : private MemoryDisk, public SegmentWorld {
 public:
  MemorySegmentWorld() : SegmentWorld(disk) {}
};
class RealSegmentWorld : public SegmentWorld {
 public:
  RealSegmentWorld() : SegmentWorld(posix_files()) {}
};
class MemoryDiskWorld : private MemoryDisk, public FileWorld {
 public:
  MemoryDiskWorld() : FileWorld(disk) {}
};

class RealDiskWorld : public FileWorld {
 public:
  RealDiskWorld() : FileWorld(posix_files()) {}
};

// The fake that others' tests stand on.
class FakeWorld : public World {
 public:
  FakeWorld() : World(posix_files()) {
    spool_.set_hook([this](MemorySpool::Call call, const SpoolRef&) -> std::optional<Error> {
      if (call != MemorySpool::Call::begin) return std::nullopt;
      const Result<void> admitted = admission->check();
      return admitted.ok() ? std::nullopt : std::optional(admitted.error());
    });
  }
  Spool& spool() override { return spool_; }
  void restart() override { reopen_admission(); }
  std::size_t count_held() override { return spool_.count(); }

 private:
  MemorySpool spool_{env, ledger};
};

using MakeWorld = std::unique_ptr<World> (*)();
template <typename Kind>
std::unique_ptr<World> make_world() {
  return std::make_unique<Kind>();
}

class SpoolContract : public ::testing::TestWithParam<std::pair<const char*, MakeWorld>> {
 protected:
  Spool& spool() { return world->spool(); }
  Arrival arrival_of(const Receipt& receipt) {
    EXPECT_THAT(spool().catch_up(), IsOk());
    for (const Arrival& arrival : world->ledger.arrivals()) {
      if (arrival.id == receipt.id) return arrival;
    }
    ADD_FAILURE() << "no row for " << receipt.id.text();
    return {};
  }

  const std::unique_ptr<World> world = GetParam().second();
};

TEST_P(SpoolContract, GivesBackWhatWasCommittedByteForByte) {
  std::uint64_t number = 0;
  for (const std::size_t size : {std::size_t{1}, std::size_t{20'000}, std::size_t{256 * KiB - 1},
                                 std::size_t{256 * KiB}, std::size_t{3 * MiB + 17}}) {
    for (const std::size_t piece :
         {std::size_t{997}, std::size_t{128 * KiB}, std::size_t{4 * MiB}}) {
      const Sent sent = make_sent(++number, size);

      ASSERT_OK_AND_ASSIGN(const Receipt receipt, send(spool(), sent, piece));

      EXPECT_FALSE(receipt.known);
      EXPECT_TRUE(stored(spool(), arrival_of(receipt).spool_ref) == sent.whole())
          << size << " bytes in pieces of " << piece;
    }
  }
}

TEST_P(SpoolContract, TellsTheLedgerWhatItHas) {
  Sent sent = make_sent(7, 100'000);
  sent.identified.destinations = {"near", "far"};

  Origin origin;
  origin.receiver = "stow";
  origin.peer_address = "192.0.2.7";
  ASSERT_OK_AND_ASSIGN(const auto incoming, spool().begin(origin));
  ASSERT_THAT(append_all(*incoming, sent), IsOk());
  ASSERT_OK_AND_ASSIGN(const Receipt receipt, incoming->commit(sent.identified));

  const Arrival arrival = arrival_of(receipt);
  EXPECT_EQ(arrival.id, incoming->id());
  EXPECT_EQ(arrival.size_bytes, sent.whole().size());
  EXPECT_EQ(arrival.dataset_offset_bytes, sent.head.size());
  EXPECT_EQ(arrival.dataset_digest, sha256(sent.dataset));
  EXPECT_EQ(arrival.file_digest, world->takes_file_digests() ? sha256(sent.whole()) : Digest());
  EXPECT_EQ(arrival.identity.sop_instance_uid, sent.identified.identity.sop_instance_uid);
  EXPECT_EQ(arrival.transfer_syntax_uid, sent.identified.transfer_syntax_uid);
  EXPECT_EQ(arrival.origin, origin);
  EXPECT_EQ(arrival.destinations, sent.identified.destinations);
  EXPECT_EQ(arrival.received_at, world->env.clock.wall_now());
}

TEST_P(SpoolContract, WhatIsDestroyedWithoutCommitLeavesNothing) {
  for (const std::size_t size : {std::size_t{10}, std::size_t{1 * MiB}}) {
    ASSERT_OK_AND_ASSIGN(auto incoming, spool().begin({}));
    ASSERT_THAT(append_all(*incoming, make_sent(1, size)), IsOk());

    incoming.reset();

    EXPECT_EQ(world->count_held(), 0u);
  }
  EXPECT_THAT(world->ledger.arrivals(), ::testing::IsEmpty());
}

TEST_P(SpoolContract, WhatWasSecuredIsNothingUntilItIsCommitted) {
  for (const std::size_t size : {std::size_t{10}, std::size_t{1 * MiB}}) {
    const Sent sent = make_sent(size, size);
    ASSERT_OK_AND_ASSIGN(auto incoming, spool().begin({}));
    ASSERT_THAT(append_all(*incoming, sent), IsOk());
    ASSERT_THAT(incoming->secure(sent.identified), IsOk());

    incoming.reset();

    EXPECT_EQ(world->count_held(), 0u);
  }
  world->restart();
  ASSERT_THAT(spool().recover(), IsOk());
  EXPECT_EQ(world->count_held(), 0u);
  EXPECT_THAT(world->ledger.arrivals(), ::testing::IsEmpty());
}

TEST_P(SpoolContract, WhatWasSecuredIsCommittedWithWhatIsKnownThen) {
  for (const std::size_t size : {std::size_t{20'000}, std::size_t{1 * MiB}}) {
    const Sent sent = make_sent(size, size);
    ASSERT_OK_AND_ASSIGN(const auto incoming, spool().begin({}));
    ASSERT_THAT(append_all(*incoming, sent), IsOk());
    ASSERT_THAT(incoming->secure(sent.identified), IsOk());
    Identified more = sent.identified;
    more.destinations = {"near"};
    more.origin.emplace().called_ae_title = "ORTHANC";

    ASSERT_OK_AND_ASSIGN(const Receipt receipt, incoming->commit(more));

    const Arrival arrival = arrival_of(receipt);
    EXPECT_EQ(arrival.origin, more.origin);
    EXPECT_EQ(arrival.destinations, more.destinations);
    EXPECT_EQ(arrival.dataset_digest, sha256(sent.dataset));
    EXPECT_TRUE(stored(spool(), arrival.spool_ref) == sent.whole());
  }
}

TEST_P(SpoolContract, SameIdentityAndBytesAreKnownAndKeptOnce) {
  const Sent sent = make_sent(1, 50'000);
  ASSERT_OK_AND_ASSIGN(const Receipt first, send(spool(), sent));

  ASSERT_OK_AND_ASSIGN(const Receipt second, send(spool(), sent));

  EXPECT_EQ(second.known, world->row_is_the_promise());
  EXPECT_EQ(second.id == first.id, world->row_is_the_promise());
  EXPECT_EQ(world->count_held(), 1u);
  EXPECT_EQ(world->ledger.arrivals().size(), 1u);
  EXPECT_EQ(spool().used_bytes().value(), sent.whole().size());
  EXPECT_TRUE(stored(spool(), arrival_of(first).spool_ref) == sent.whole());
}

TEST_P(SpoolContract, OnlyTheDataSetDecidesWhatIsKnown) {
  Sent sent = make_sent(1, 50'000);
  ASSERT_THAT(send(spool(), sent), IsOk());
  sent.head += "other file meta";
  sent.identified.dataset_offset_bytes = sent.head.size();

  ASSERT_THAT(send(spool(), sent), IsOk());

  EXPECT_EQ(world->count_held(), 1u);
  EXPECT_EQ(world->ledger.arrivals().size(), 1u);
}

// What a modality does that was told nothing in time, and what an archive does that sends by two
// ways.
TEST_P(SpoolContract, OneInstanceOnManyAssociationsAtOnceIsKeptOnce) {
  constexpr std::size_t kSenders = 8;
  const Sent small = make_sent(1, 50'000), large = make_sent(2, 700'000);
  std::vector<Result<Receipt>> receipts(2 * kSenders, Receipt{});
  {
    std::vector<Thread> threads;
    for (std::size_t i = 0; i < kSenders; ++i) {
      threads.emplace_back(world->env, "sender", [&, i] {
        receipts[2 * i] = send(spool(), small);
        receipts[2 * i + 1] = send(spool(), large);
      });
    }
  }

  for (const auto& receipt : receipts) EXPECT_THAT(receipt, IsOk());
  EXPECT_EQ(world->count_held(), 2u);
  ASSERT_EQ(world->ledger.arrivals().size(), 2u);
  for (const Arrival& arrival : world->ledger.arrivals()) {
    const std::string bytes = stored(spool(), arrival.spool_ref);
    EXPECT_TRUE(bytes == small.whole() || bytes == large.whole());
  }
  EXPECT_EQ(spool().used_bytes().value(), small.whole().size() + large.whole().size());
}

TEST_P(SpoolContract, AStudyThatIsSentOnceMoreIsKeptOnceAlsoOverARestart) {
  constexpr std::uint64_t kInstances = 12;
  const auto send_study = [&] {
    for (std::uint64_t n = 0; n < kInstances; ++n) {
      ASSERT_THAT(send(spool(), make_sent(n, 60'000 * (n + 1))), IsOk());
    }
  };
  send_study();
  send_study();

  world->restart();
  ASSERT_THAT(spool().recover(), IsOk());
  send_study();

  EXPECT_EQ(world->count_held(), kInstances);
  EXPECT_EQ(world->ledger.arrivals().size(), kInstances);
}

TEST_P(SpoolContract, BytesThatCameAgainForAnotherDestinationStayWhenTheFirstWereFreed) {
  for (const std::size_t size : {std::size_t{50'000}, std::size_t{700'000}}) {
    Sent sent = make_sent(size, size);
    sent.identified.destinations = {"near"};
    ASSERT_OK_AND_ASSIGN(const Receipt first, send(spool(), sent));
    const SpoolRef freed = arrival_of(first).spool_ref;
    world->ledger.freed(first.id);
    ASSERT_THAT(spool().free(freed), IsOk());
    ASSERT_THAT(send(spool(), sent), IsOk()) << "it is done everywhere it is for";
    const std::size_t held_before = world->count_held();
    sent.head += "another sender's file meta";
    sent.identified.dataset_offset_bytes = sent.head.size();
    sent.identified.destinations = {"far"};

    ASSERT_THAT(send(spool(), sent), IsOk());

    EXPECT_EQ(world->count_held(), held_before + 1);
    const SpoolRef taken = arrival_of(first).spool_ref;
    EXPECT_NE(taken, freed);
    EXPECT_TRUE(stored(spool(), taken) == sent.whole());
    world->restart();
    ASSERT_THAT(spool().recover(), IsOk());
    EXPECT_TRUE(stored(spool(), taken) == sent.whole());
    EXPECT_THAT(spool().open(freed), FailsWith("spool.not_found"));
  }
}

TEST_P(SpoolContract, OldBytesThatNoRowNamesAnyMoreAreGivenUpByTheNextStart) {
  Sent sent = make_sent(1, 50'000);
  sent.identified.destinations = {"near"};
  ASSERT_OK_AND_ASSIGN(const Receipt first, send(spool(), sent));
  const SpoolRef old = arrival_of(first).spool_ref;
  world->ledger.freed(first.id);  // the process died before it had given them back
  sent.identified.destinations = {"far"};
  ASSERT_THAT(send(spool(), sent), IsOk());
  EXPECT_EQ(world->count_held(), 2u);

  world->restart();
  ASSERT_THAT(spool().recover(), IsOk());

  EXPECT_EQ(world->count_held(), 1u);
  EXPECT_THAT(spool().open(old), FailsWith("spool.not_found"));
  EXPECT_TRUE(stored(spool(), arrival_of(first).spool_ref) == sent.whole());
}

TEST_P(SpoolContract, OtherBytesUnderTheSameUidAreKeptBesideTheFirst) {
  Sent first = make_sent(1, 50'000);
  Sent other = make_sent(2, 50'000);
  other.identified.identity = first.identified.identity;

  ASSERT_OK_AND_ASSIGN(const Receipt kept, send(spool(), first));
  ASSERT_OK_AND_ASSIGN(const Receipt beside, send(spool(), other));
  ASSERT_THAT(send(spool(), other), IsOk());

  EXPECT_FALSE(beside.known);
  EXPECT_EQ(world->count_held(), 2u);
  EXPECT_TRUE(stored(spool(), arrival_of(kept).spool_ref) == first.whole());
  EXPECT_TRUE(stored(spool(), arrival_of(beside).spool_ref) == other.whole());
  EXPECT_EQ(world->ledger.instance(beside.id).value()->conflicts_with, kept.id);
}

TEST_P(SpoolContract, BeginsNothingWhileAdmissionIsClosed) {
  world->admission->close(AdmissionState::stopping);

  EXPECT_THAT(spool().begin({}), FailsWith("spool.closed", Fate::transient));
  EXPECT_EQ(world->count_held(), 0u);
}

TEST_P(SpoolContract, AnInstanceBegunBeforeStoppingIsStillCommitted) {
  const Sent sent = make_sent(1, 300'000);
  ASSERT_OK_AND_ASSIGN(const auto incoming, spool().begin({}));
  ASSERT_THAT(append_all(*incoming, sent), IsOk());
  world->admission->close(AdmissionState::stopping);

  EXPECT_THAT(incoming->commit(sent.identified), IsOk());
}

TEST_P(SpoolContract, RefusesADataSetThatBeginsElsewhere) {
  Sent sent = make_sent(1, 1000);
  sent.identified.dataset_offset_bytes += 1;

  EXPECT_THAT(send(spool(), sent), FailsWith("spool.dataset_offset", Fate::permanent));
  EXPECT_EQ(world->count_held(), 0u);
}

TEST_P(SpoolContract, FreeingGivesTheBytesBackAndMayBeRepeated) {
  ASSERT_OK_AND_ASSIGN(const Receipt gone, send(spool(), make_sent(1, 5000)));
  const Sent kept_sent = make_sent(2, 5000);
  ASSERT_OK_AND_ASSIGN(const Receipt kept, send(spool(), kept_sent));
  const SpoolRef ref = arrival_of(gone).spool_ref;

  EXPECT_THAT(spool().free(ref), IsOk());
  EXPECT_THAT(spool().open(ref), FailsWith("spool.not_found", Fate::permanent));
  EXPECT_THAT(spool().free(ref), IsOk());

  EXPECT_EQ(spool().used_bytes().value(), kept_sent.whole().size());
  EXPECT_TRUE(stored(spool(), arrival_of(kept).spool_ref) == kept_sent.whole());
}

TEST_P(SpoolContract, ReferencesItNeverMadeLeadNowhere) {
  ASSERT_THAT(
      world->env.env().files.open(world->env.folder() / "secret", FileSystem::Mode::create_new),
      IsOk());
  for (const char* text :
       {"", "/", "../secret", "00/../../secret", "/etc/passwd", "00/secret.dcm",
        "zz/0123456789abcdef0123456789abcdef.dcm", "ff/0123456789abcdef0123456789abcdef.dcm",
        "segment:", "segment:00000001:000000000001:0000002000:00000010",
        "segment:00000001:000000000001:00ffffe000:00000010",
        "segment:00000001:000000000001:0000002001:00000010", "segment:1:1:2000:10",
        "segment:../00001:000000000001:0000002000:00000010"}) {
    EXPECT_THAT(spool().open({text}), FailsWith("spool.not_found")) << text;
    EXPECT_THAT(spool().free({text}), IsOk()) << text;
  }
  EXPECT_TRUE(world->env.env().files.exists(world->env.folder() / "secret").value());
}

TEST_P(SpoolContract, ReadingCanStartAgain) {
  const Sent sent = make_sent(1, 100'000);
  ASSERT_OK_AND_ASSIGN(const Receipt receipt, send(spool(), sent));
  ASSERT_OK_AND_ASSIGN(const auto source, spool().open(arrival_of(receipt).spool_ref));
  ASSERT_THAT(read_all(*source, 1 * MiB), IsOk());

  ASSERT_THAT(source->rewind(), IsOk());

  EXPECT_EQ(source->size(), sent.whole().size());
  EXPECT_TRUE(read_all(*source, 1 * MiB).value() == sent.whole());
}

TEST_P(SpoolContract, ARestartKeepsWhatWasPromised) {
  std::vector<Receipt> receipts;
  for (std::uint64_t n = 0; n < 20; ++n) {
    ASSERT_OK_AND_ASSIGN(const Receipt receipt, send(spool(), make_sent(n, 100'000 * (n % 8 + 1))));
    receipts.push_back(receipt);
  }

  world->restart();
  ASSERT_THAT(spool().recover(), IsOk());

  EXPECT_EQ(world->count_held(), 20u);
  for (std::uint64_t n = 0; n < 20; ++n) {
    EXPECT_TRUE(stored(spool(), arrival_of(receipts[n]).spool_ref) ==
                make_sent(n, 100'000 * (n % 8 + 1)).whole());
  }
}

TEST_P(SpoolContract, RecoveryKeepsWhatHasARowAndDiscardsTheRest) {
  if (!world->row_is_the_promise()) GTEST_SKIP() << "bytes without a row are a promise here";
  const Sent kept_sent = make_sent(1, 60'000);
  ASSERT_OK_AND_ASSIGN(const Receipt kept, send(spool(), kept_sent));
  ASSERT_OK_AND_ASSIGN(const Receipt lost, send(spool(), make_sent(2, 60'000)));
  const SpoolRef lost_ref = arrival_of(lost).spool_ref;
  world->ledger.forget(lost.id);

  world->restart();
  ASSERT_OK_AND_ASSIGN(const std::size_t discarded, spool().recover());

  EXPECT_EQ(discarded, 1u);
  EXPECT_THAT(spool().open(lost_ref), FailsWith("spool.not_found"));
  EXPECT_TRUE(stored(spool(), arrival_of(kept).spool_ref) == kept_sent.whole());
  EXPECT_EQ(spool().used_bytes().value(), kept_sent.whole().size());
  EXPECT_EQ(spool().recover().value(), 0u);
}

TEST_P(SpoolContract, WhatTheLedgerRefusesIsNotKept) {
  if (!world->row_is_the_promise()) GTEST_SKIP() << "the row comes after the answer here";
  world->ledger.fail_next_record(transient_error("world->ledger.full", "No space."));

  EXPECT_THAT(send(spool(), make_sent(1, 5000)), FailsWith("world->ledger.full", Fate::transient));

  EXPECT_EQ(world->count_held(), 0u);
  EXPECT_EQ(spool().used_bytes().value(), 0u);
}

TEST_P(SpoolContract, BytesWhoseRowMayExistAreKeptForTheRestartToDecide) {
  if (!world->row_is_the_promise()) GTEST_SKIP() << "the row comes after the answer here";
  const Sent sent = make_sent(1, 5000);
  world->ledger.fail_next_record(fatal_error("world->ledger.io", "Who knows."), /*row_stays=*/true);
  ASSERT_THAT(send(spool(), sent), FailsWith("world->ledger.io", Fate::fatal));

  world->restart();

  EXPECT_EQ(spool().recover().value(), 0u);
  ASSERT_OK_AND_ASSIGN(const Receipt receipt, send(spool(), sent));
  EXPECT_TRUE(receipt.known);
  EXPECT_TRUE(stored(spool(), arrival_of(receipt).spool_ref) == sent.whole());
}

TEST_P(SpoolContract, ManyReceiveAtOnce) {
  constexpr std::uint64_t kThreads = 8, kEach = 12;
  std::vector<std::optional<Receipt>> receipts(kThreads * kEach);
  {
    std::vector<Thread> threads;
    for (std::uint64_t t = 0; t < kThreads; ++t) {
      threads.emplace_back(world->env, "sender", [&, t] {
        for (std::uint64_t i = 0; i < kEach; ++i) {
          auto receipt = send(spool(), make_sent(t * kEach + i, 10'000 * (i + 1)));
          if (receipt.ok()) receipts[t * kEach + i] = *receipt;
        }
      });
    }
  }

  for (std::uint64_t n = 0; n < receipts.size(); ++n) {
    ASSERT_TRUE(receipts[n]) << n;
    EXPECT_TRUE(stored(spool(), arrival_of(*receipts[n]).spool_ref) ==
                make_sent(n, 10'000 * (n % kEach + 1)).whole());
  }
  EXPECT_EQ(world->count_held(), receipts.size());
}

INSTANTIATE_TEST_SUITE_P(
    Every, SpoolContract,
    ::testing::Values(std::pair("FilesInMemory", &make_world<MemoryDiskWorld>),
                      std::pair("FilesOnDisk", &make_world<RealDiskWorld>),
                      std::pair("SegmentsInMemory", &make_world<MemorySegmentWorld>),
                      std::pair("SegmentsOnDisk", &make_world<RealSegmentWorld>),
                      std::pair("Fake", &make_world<FakeWorld>)),
    [](const auto& which) { return std::string(which.param.first); });

}  // namespace
}  // namespace isthmus::test
