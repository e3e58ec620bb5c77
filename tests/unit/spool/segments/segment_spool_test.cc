// The segmented spool's order of writes and syncs, what a start makes of what it finds, and its
// answers to a failing disk. Nothing in the background: the tests say when rows follow.
#include "spool/segments/segment_spool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/failpoint.h"
#include "model/layout.h"
#include "support/incoming.h"
#include "support/intake_ledger.h"
#include "support/matchers.h"
#include "support/power_loss_files.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

using segments::Place;
using segments::SegmentSpool;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SegmentSpoolTest : public ::testing::Test {
 protected:
  SegmentSpoolTest() {
    options.segment_bytes = 1 * MiB;
    options.max_instance_bytes = 300'000;
    options.buffer_bytes = 2 * MiB;
    options.reserve_bytes = 0;
    options.compact_after = Milliseconds(1000);
    options.background = false;
    restart();
    EXPECT_THAT(segments().prepare_one(), IsOk());
    files.forget_operations();
  }

  void restart() {
    spool.reset();
    admission = std::make_unique<Admission>(
        env, AdmissionOptions{.directory = "/spool", .reserve_bytes = 0, .resume_bytes = 0});
    auto opened = open_segment_spool(env, "/spool", ledger, *admission, options);
    ASSERT_THAT(opened, IsOk());
    spool = std::move(opened).value();
    ASSERT_THAT(spool->recover(), IsOk());
  }
  void cut_power(PowerCut cut = {}) {
    files.cut_power(cut);
    spool.reset();
    files.power_on();
    restart();
  }
  SegmentSpool& segments() { return static_cast<SegmentSpool&>(*spool); }

  Receipt put(std::uint64_t number, std::size_t size = 5000) {
    const auto receipt = send(*spool, make_sent(number, size));
    EXPECT_THAT(receipt, IsOk());
    return receipt.ok() ? *receipt : Receipt();
  }
  std::optional<Arrival> row_of(const Receipt& receipt) {
    for (const Arrival& arrival : ledger.arrivals()) {
      if (arrival.id == receipt.id) return arrival;
    }
    return std::nullopt;
  }
  Place place_of(const Receipt& receipt) {
    return segments::place_of(row_of(receipt)->spool_ref).value();
  }
  // Free as the sweeper does, and conclude.
  void free(const Receipt& receipt) {
    ASSERT_THAT(spool->free(row_of(receipt)->spool_ref), IsOk());
    ledger.freed(receipt.id);
  }
  std::vector<std::string> story() {
    std::vector<std::string> lines;
    for (const auto& entry : files.operations()) lines.emplace_back(to_string(entry.operation));
    return lines;
  }
  double went_to_file(const char* reason) {
    return env.env().metrics.counter("spool_to_file_total", "", {{"reason", reason}}).value();
  }

  PowerLossFiles files;
  TestEnv env{1, files};
  IntakeLedger ledger{env};
  SegmentOptions options;
  std::unique_ptr<Admission> admission;
  std::unique_ptr<Spool> spool;
};

TEST_F(SegmentSpoolTest, OneWriteAndOneSyncStandBeforeTheAnswer) {
  put(1, 20'000);

  EXPECT_THAT(story(), ElementsAre("write_at", "sync"));
  EXPECT_THAT(ledger.arrivals(), IsEmpty());
}

TEST_F(SegmentSpoolTest, AFileThatWasGatheredUnseenBecomesTheSameRecord) {
  const Sent sent = make_sent(1, 200'000);
  const std::string file = sent.whole();
  auto incoming = spool->begin({}).value();

  ASSERT_TRUE(incoming->gather(as_bytes(file)));
  std::string seen;
  for (const ByteSpan piece : incoming->gathered()) {
    const std::size_t before = seen.size();
    seen += as_text(piece);
    if (before == 0) {
      ASSERT_THAT(incoming->append(piece.first(sent.head.size())), IsOk());
      incoming->dataset_begins();
      ASSERT_THAT(incoming->append(piece.subspan(sent.head.size())), IsOk());
    } else {
      ASSERT_THAT(incoming->append(piece), IsOk());
    }
  }
  const auto receipt = incoming->commit(sent.identified);

  EXPECT_EQ(seen, file);
  ASSERT_THAT(receipt, IsOk());
  ASSERT_THAT(spool->catch_up(), IsOk());
  EXPECT_EQ(stored(*spool, row_of(*receipt)->spool_ref), file);
  EXPECT_EQ(row_of(*receipt)->dataset_digest, sha256(as_bytes(sent.dataset)));
}

TEST_F(SegmentSpoolTest, WhatCannotBeGatheredAtOnceHoldsNothing) {
  const std::string too_large(options.max_instance_bytes + 1, 'x');
  const std::string fits(250'000, 'x');
  const Gauge& held = env.env().metrics.gauge("spool_buffered_bytes", "");
  std::vector<std::unique_ptr<IncomingInstance>> others;
  EXPECT_FALSE(spool->begin({}).value()->gather(as_bytes(too_large)));
  EXPECT_EQ(held.value(), 0);

  while (true) {
    auto next = spool->begin({}).value();
    const double before = held.value();
    if (!next->gather(as_bytes(fits))) {
      EXPECT_EQ(held.value(), before);
      break;
    }
    others.push_back(std::move(next));
  }
  EXPECT_THAT(others, testing::SizeIs(testing::Ge(4U)));
  EXPECT_LE(held.value(), static_cast<double>(options.buffer_bytes));
  others.clear();

  EXPECT_EQ(held.value(), 0);
  EXPECT_EQ(went_to_file("no_memory"), 0);
}

TEST_F(SegmentSpoolTest, WhatWasSecuredIsPromisedWithoutTheDisk) {
  const Sent sent = make_sent(1, 20'000);
  auto incoming = spool->begin({}).value();
  ASSERT_THAT(append_all(*incoming, sent), IsOk());

  ASSERT_THAT(incoming->secure(sent.identified), IsOk());
  EXPECT_THAT(story(), ElementsAre("write_at", "sync"));
  ASSERT_THAT(incoming->commit(sent.identified), IsOk());

  EXPECT_THAT(story(), ElementsAre("write_at", "sync"));
  incoming.reset();  // before its spool
  cut_power();
  EXPECT_THAT(ledger.arrivals(), SizeIs(1));
}

TEST_F(SegmentSpoolTest, WhatWasSecuredAndNotCommittedIsNotReplayedOnceThatIsNoted) {
  const Sent sent = make_sent(1, 20'000);
  auto incoming = spool->begin({}).value();
  ASSERT_THAT(append_all(*incoming, sent), IsOk());
  ASSERT_THAT(incoming->secure(sent.identified), IsOk());

  incoming.reset();
  ASSERT_THAT(spool->catch_up(), IsOk());
  cut_power();

  EXPECT_THAT(ledger.arrivals(), IsEmpty());
  EXPECT_EQ(ledger.spool_rows().position()->sequence, 1u);
}

// Its sender has no answer yet, and sends again: then it is known. Never the other way round.
TEST_F(SegmentSpoolTest, WhatWasSecuredWhenThePowerWentIsTakenAtTheNextStart) {
  const Sent sent = make_sent(1, 20'000);
  const auto incoming = spool->begin({}).value();
  ASSERT_THAT(append_all(*incoming, sent), IsOk());
  ASSERT_THAT(incoming->secure(sent.identified), IsOk());

  files.cut_power({});
  files.power_on();
  auto after = open_segment_spool(env, "/spool", ledger, *admission, options).value();
  ASSERT_THAT(after->recover(), IsOk());

  EXPECT_THAT(ledger.arrivals(), SizeIs(1));
}

TEST_F(SegmentSpoolTest, RowsFollowInTheOrderOfPromises) {
  std::vector<InstanceId> promised;
  for (std::uint64_t n = 0; n < 5; ++n) promised.push_back(put(n).id);

  ASSERT_THAT(spool->catch_up(), IsOk());

  EXPECT_EQ(ledger.spool_rows().position()->sequence, 5u);
  std::vector<Place> places;
  for (const InstanceId& id : promised) places.push_back(place_of({id, false}));
  EXPECT_TRUE(std::ranges::is_sorted(places, {}, &Place::offset));
}

TEST_F(SegmentSpoolTest, ARowWaitsForThoseBeforeItThatMayStillBePromised) {
  segments::Follower follower(env, ledger.spool_rows(), options, [](const SpoolRef&) {});
  const auto arrival = [&](std::uint64_t n) {
    Arrival made;
    made.id = InstanceId::make(env);
    made.identity = make_sent(n, 1).identified.identity;
    return made;
  };
  follower.open({nullptr, {1, 1, 8192, 10}, 1});
  follower.open({nullptr, {1, 1, 16384, 10}, 2});
  follower.open({nullptr, {1, 1, 32768, 10}, 3});

  follower.settle(2, arrival(2));
  ASSERT_THAT(follower.catch_up(), IsOk());
  EXPECT_THAT(ledger.arrivals(), IsEmpty());
  follower.drop(1);
  ASSERT_THAT(follower.catch_up(), IsOk());
  EXPECT_THAT(ledger.arrivals(), SizeIs(1));
  EXPECT_EQ(ledger.spool_rows().position()->sequence, 2u);
  follower.settle(3, arrival(3));
  ASSERT_THAT(follower.catch_up(), IsOk());

  EXPECT_THAT(ledger.arrivals(), SizeIs(2));
}

TEST_F(SegmentSpoolTest, TheFirstPromiseIsHeardOfAlsoWhenOthersWereSettledBeforeIt) {
  options.rows_within = Milliseconds(0);
  segments::Follower follower(env, ledger.spool_rows(), options, [](const SpoolRef&) {});
  const SteadyTime start = system_clock().steady_now();
  constexpr std::uint64_t kRounds = 5;  // each would wait a second for nothing
  for (std::uint64_t n = 1; n <= 2 * kRounds; n += 2) {
    Arrival first, second;
    first.id = InstanceId::make(env);
    first.identity = make_sent(n, 1).identified.identity;
    second.id = InstanceId::make(env);
    second.identity = make_sent(n + 1, 1).identified.identity;
    follower.open({nullptr, {1, 1, 8192 * n, 10}, n});
    follower.open({nullptr, {1, 1, 8192 * (n + 1), 10}, n + 1});
    follower.settle(n + 1, second);
    ASSERT_TRUE(follower.await_work());
    ASSERT_THAT(follower.follow_once(), IsOk());

    follower.settle(n, first);

    ASSERT_TRUE(follower.await_work());
    ASSERT_THAT(follower.follow_once(), IsOk());
    ASSERT_THAT(ledger.arrivals(), SizeIs(n + 1));
  }
  EXPECT_LT(system_clock().steady_now() - start, Milliseconds(1000) * kRounds);
}

TEST_F(SegmentSpoolTest, CatchingUpIsRefusedWhenTheRowsCannotFollowAnyMore) {
  options.background = true;
  segments::Follower follower(env, ledger.spool_rows(), options, [](const SpoolRef&) {});
  follower.open({nullptr, {1, 1, 8192, 10}, 1});

  follower.stop();

  EXPECT_THAT(follower.catch_up(), FailsWith("spool.closed", Fate::transient));
}

TEST_F(SegmentSpoolTest, APromiseWithoutARowGetsItAtTheNextStart) {
  const Receipt receipt = put(1, 20'000);

  cut_power();

  ASSERT_TRUE(row_of(receipt));
  EXPECT_TRUE(stored(*spool, row_of(receipt)->spool_ref) == make_sent(1, 20'000).whole());
  EXPECT_EQ(row_of(receipt)->dataset_digest, sha256(make_sent(1, 20'000).dataset));
}

TEST_F(SegmentSpoolTest, APromiseBehindAHoleGetsItsRow) {
  // The first place is given out and its write fails; the one behind it is promised.
  files.fail_next(FileOperation::write_at, PowerLossFiles::disk_io_error());
  EXPECT_THAT(send(*spool, make_sent(1, 5000)), FailsWith("spool.io", Fate::transient));
  const Receipt receipt = put(2);

  cut_power();

  EXPECT_THAT(ledger.arrivals(), SizeIs(1));
  EXPECT_TRUE(row_of(receipt));
}

TEST_F(SegmentSpoolTest, WhatWasTornIsNotReplayed) {
  const Receipt whole = put(1);
  files.ignore_file_syncs(true);
  for (std::uint64_t seed = 1; seed < 20; ++seed) put(seed + 1, 100'000);

  cut_power({.keep_some_seed = 5});
  files.ignore_file_syncs(false);

  EXPECT_TRUE(row_of(whole));
  for (const Arrival& arrival : ledger.arrivals()) {
    const std::string bytes = stored(*spool, arrival.spool_ref);
    EXPECT_EQ(sha256(std::string_view(bytes).substr(arrival.dataset_offset_bytes)),
              arrival.dataset_digest);
  }
}

TEST_F(SegmentSpoolTest, AnyByteOfARecordChangedKeepsItFromBeingReplayed) {
  const Receipt receipt = put(1, 3000);
  const Sent sent = make_sent(1, 3000);
  const std::size_t record = segments::kPayloadOffset + sent.whole().size();
  const auto path = FileSystem::Path("/spool") / layout::kSegmentFolder / layout::segment_file(1);
  for (std::size_t at = 0; at < record; at += 1 + at % 7) {
    ASSERT_OK_AND_ASSIGN(const auto file, files.open(path, FileSystem::Mode::open_or_create));
    std::byte byte{};
    ASSERT_THAT(file->read_at(segments::kFirstRecordOffset + at, {&byte, 1}), IsOk());
    byte ^= std::byte{4};
    ASSERT_THAT(file->write_at(segments::kFirstRecordOffset + at, {&byte, 1}), IsOk());

    restart();

    EXPECT_FALSE(row_of(receipt)) << "byte " << at;
    byte ^= std::byte{4};
    ASSERT_THAT(file->write_at(segments::kFirstRecordOffset + at, {&byte, 1}), IsOk());
    ASSERT_EQ(ledger.spool_rows().position()->sequence, 0u);
  }
  restart();
  EXPECT_TRUE(row_of(receipt));
}

TEST_F(SegmentSpoolTest, ReplayingTwiceMakesOneRow) {
  put(1);
  restart();
  restart();

  EXPECT_THAT(ledger.arrivals(), SizeIs(1));
  EXPECT_EQ(segments().kept_records(), 1u);
}

TEST_F(SegmentSpoolTest, SequencesGoOnAfterARestart) {
  put(1);
  restart();
  put(2);
  ASSERT_THAT(spool->catch_up(), IsOk());

  EXPECT_EQ(ledger.spool_rows().position()->sequence, 2u);
  EXPECT_THAT(ledger.arrivals(), SizeIs(2));
}

TEST_F(SegmentSpoolTest, AFailedSyncRefusesAndEndsIntake) {
  files.fail_next_sync();

  EXPECT_THAT(send(*spool, make_sent(1, 5000)),
              FailsWith("spool.segment_sync_failed", Fate::fatal));

  EXPECT_EQ(admission->state(), AdmissionState::failed);
  EXPECT_THAT(env.fatals(), SizeIs(1));
  EXPECT_THAT(spool->begin({}), FailsWith("spool.closed"));
}

TEST_F(SegmentSpoolTest, AFullDiskRefusesAndIntakeGoesOnElsewhere) {
  const Receipt before = put(3);
  files.fail_next(FileOperation::sync, transient_error("disk.full", "Full."));
  EXPECT_THAT(send(*spool, make_sent(1, 5000)), FailsWith("spool.full", Fate::transient));

  const Receipt receipt = put(2);
  ASSERT_THAT(spool->catch_up(), IsOk());

  EXPECT_EQ(admission->state(), AdmissionState::open);
  EXPECT_NE(place_of(receipt).segment, place_of(before).segment);
}

TEST_F(SegmentSpoolTest, AFreedSegmentIsUsedAgainInItsNextLife) {
  std::vector<Receipt> receipts;
  for (std::uint64_t n = 0; n < 20; ++n) receipts.push_back(put(n, 100'000));
  ASSERT_THAT(spool->catch_up(), IsOk());
  const Place first = place_of(receipts[0]);
  for (const Receipt& receipt : receipts) {
    if (place_of(receipt).segment == first.segment) free(receipt);
  }

  Place again = first;
  for (std::uint64_t n = 100; again.generation == first.generation && n < 150; ++n) {
    const Receipt receipt = put(n, 100'000);
    ASSERT_THAT(spool->catch_up(), IsOk());
    if (place_of(receipt).segment == first.segment) again = place_of(receipt);
  }

  EXPECT_GT(again.generation, first.generation);
  EXPECT_THAT(spool->open(segments::to_ref(first)), FailsWith("spool.not_found"));
  // An old reference, freed once more, gives nothing of the new life away.
  const std::size_t kept = segments().kept_records();
  EXPECT_THAT(spool->free(segments::to_ref(first)), IsOk());
  EXPECT_EQ(segments().kept_records(), kept);
}

TEST_F(SegmentSpoolTest, SegmentsThatAFloodLeftAreRemovedAfterAWhile) {
  const auto count_segments = [&] {
    return files.list("/spool/" + std::string(layout::kSegmentFolder)).value().size();
  };
  std::vector<Receipt> receipts;
  for (std::uint64_t n = 0; n < 50; ++n) receipts.push_back(put(n, 100'000));
  ASSERT_THAT(spool->catch_up(), IsOk());
  const std::size_t in_flood = count_segments();
  ASSERT_GE(in_flood, 5u);
  for (const Receipt& receipt : receipts) free(receipt);
  EXPECT_FALSE(segments().remove_one().value()) << "the next flood may come soon";

  env.clock.advance(options.remove_after);
  while (segments().remove_one().value()) {
  }

  EXPECT_EQ(count_segments(), 2u) << "the current one, and one to go on with";
  EXPECT_LE(admission->recyclable_bytes(), static_cast<std::int64_t>(2 * options.segment_bytes));
  const Receipt after = put(100, 100'000);
  cut_power();
  ASSERT_TRUE(row_of(after));
  EXPECT_TRUE(stored(*spool, row_of(after)->spool_ref) == make_sent(100, 100'000).whole());
}

TEST_F(SegmentSpoolTest, RecordsOfAPreviousLifeAreNotReplayed) {
  for (std::uint64_t n = 0; n < 8; ++n) put(n, 100'000);
  ASSERT_THAT(spool->catch_up(), IsOk());
  for (const Arrival& arrival : ledger.arrivals()) free({arrival.id, false});
  const std::size_t rows = ledger.arrivals().size();
  restart();  // seals, finds nothing needed
  const Receipt receipt = put(100);
  ASSERT_THAT(spool->catch_up(), IsOk());
  ASSERT_EQ(place_of(receipt).segment, 1u);
  ASSERT_EQ(ledger.arrivals().size(), rows + 1);

  cut_power();

  EXPECT_EQ(ledger.arrivals().size(), rows + 1);
  EXPECT_EQ(segments().kept_records(), 1u);
}

TEST_F(SegmentSpoolTest, ASegmentThatIsReadIsNotUsedAgain) {
  const Receipt receipt = put(1, 100'000);
  ASSERT_THAT(spool->catch_up(), IsOk());
  ASSERT_OK_AND_ASSIGN(auto source, spool->open(row_of(receipt)->spool_ref));
  free(receipt);
  for (std::uint64_t n = 10; n < 60; ++n) put(n, 100'000);

  EXPECT_TRUE(read_all(*source, 1 * MiB).value() == make_sent(1, 100'000).whole());
}

TEST_F(SegmentSpoolTest, WhatIsTooLargeGoesToAFileWithItsRowAtOnce) {
  put(1, 400'000);

  EXPECT_THAT(ledger.arrivals(), SizeIs(1));
  EXPECT_FALSE(segments::place_of(ledger.arrivals()[0].spool_ref));
  EXPECT_TRUE(stored(*spool, ledger.arrivals()[0].spool_ref) == make_sent(1, 400'000).whole());
  EXPECT_EQ(went_to_file("too_large"), 1);
}

TEST_F(SegmentSpoolTest, WithoutMemoryAnInstanceGoesToAFile) {
  std::vector<std::unique_ptr<IncomingInstance>> hogs;
  for (std::uint64_t n = 0; n < 20; ++n) {
    ASSERT_OK_AND_ASSIGN(auto incoming, spool->begin({}));
    ASSERT_THAT(append_all(*incoming, make_sent(n, 250'000)), IsOk());
    hogs.push_back(std::move(incoming));
  }

  EXPECT_GT(went_to_file("no_memory"), 5);
  for (std::uint64_t n = 0; n < 20; ++n) {
    EXPECT_THAT(hogs[n]->commit(make_sent(n, 250'000).identified), IsOk());
  }
  ASSERT_THAT(spool->catch_up(), IsOk());
  EXPECT_THAT(ledger.arrivals(), SizeIs(20));
}

TEST_F(SegmentSpoolTest, WithoutSpaceForASegmentAnInstanceGoesToAFile) {
  for (std::uint64_t n = 0; n < 3; ++n) put(n, 200'000);
  files.set_free_bytes(2 * MiB);

  for (std::uint64_t n = 10; n < 14; ++n) put(n, 200'000);

  EXPECT_GT(went_to_file("no_segment"), 0);
  ASSERT_THAT(spool->catch_up(), IsOk());
  EXPECT_THAT(ledger.arrivals(), SizeIs(7));
}

TEST_F(SegmentSpoolTest, NoSegmentIsMadeOfTheReserve) {
  options.reserve_bytes = 100 * MiB;
  files.set_free_bytes(101 * MiB);
  restart();

  EXPECT_THAT(segments().prepare_one(), IsOk());  // the one that is there
  put(1, 290'000);
  EXPECT_THAT(segments().prepare_one(), FailsWith("spool.no_segment"));
  EXPECT_EQ(files.space("/spool")->free_bytes, 101 * MiB);
}

TEST_F(SegmentSpoolTest, ALedgerThatRefusesIsAskedAgain) {
  put(1);
  ledger.refuse("follow", transient_error("ledger.full", "No space."));

  EXPECT_THAT(spool->catch_up(), FailsWith("ledger.full"));
  EXPECT_THAT(ledger.arrivals(), IsEmpty());
  EXPECT_THAT(spool->catch_up(), IsOk());

  EXPECT_THAT(ledger.arrivals(), SizeIs(1));
}

TEST_F(SegmentSpoolTest, ASegmentHeldByFewIsEmptied) {
  std::vector<Receipt> receipts;
  for (std::uint64_t n = 0; n < 12; ++n) receipts.push_back(put(n, 100'000));
  ASSERT_THAT(spool->catch_up(), IsOk());
  for (std::uint64_t n = 1; n < 9; ++n) free(receipts[n]);
  const Place before = place_of(receipts[0]);
  ASSERT_OK_AND_ASSIGN(const bool too_early, segments().compact_one());
  EXPECT_FALSE(too_early);
  env.clock.advance(Milliseconds(2000));

  ASSERT_OK_AND_ASSIGN(const bool moved, segments().compact_one());

  EXPECT_TRUE(moved);
  EXPECT_NE(place_of(receipts[0]).generation, before.generation);
  EXPECT_TRUE(stored(*spool, row_of(receipts[0])->spool_ref) == make_sent(0, 100'000).whole());
  EXPECT_THAT(spool->open(segments::to_ref(before)), FailsWith("spool.not_found"));
  EXPECT_EQ(segments().kept_records(), 4u);
  std::uint64_t kept_bytes = 0;
  for (const std::uint64_t n : {0, 9, 10, 11}) kept_bytes += make_sent(n, 100'000).whole().size();
  EXPECT_EQ(spool->used_bytes().value(), kept_bytes);
}

TEST_F(SegmentSpoolTest, ACopyWhoseRowWasNotMovedIsNothingAfterARestart) {
  const Receipt receipt = put(1, 100'000);
  ASSERT_THAT(spool->catch_up(), IsOk());
  restart();  // seals the segment
  env.clock.advance(Milliseconds(2000));
  arm_failpoint(Failpoint::segment_copied, 1, [&] { files.cut_power(); });
  ignore(segments().compact_one(), "the power goes in the middle of it");
  ledger.refuse("move", transient_error("ledger.full", "No space."));

  cut_power();

  EXPECT_EQ(segments().kept_records(), 1u);
  EXPECT_THAT(ledger.arrivals(), SizeIs(1));
  EXPECT_TRUE(stored(*spool, row_of(receipt)->spool_ref) == make_sent(1, 100'000).whole());
}

TEST_F(SegmentSpoolTest, DamagedSegmentsAreKeptAndNamed) {
  const Receipt receipt = put(1, 100'000);
  ASSERT_THAT(spool->catch_up(), IsOk());
  const auto path = FileSystem::Path("/spool") / layout::kSegmentFolder / layout::segment_file(1);
  ASSERT_OK_AND_ASSIGN(const auto file, files.open(path, FileSystem::Mode::open_or_create));
  ASSERT_THAT(file->write_at(0, Bytes(2 * segments::kBlockBytes)), IsOk());

  restart();

  EXPECT_TRUE(env.log.contains("spool.segment_damaged"));
  EXPECT_TRUE(stored(*spool, row_of(receipt)->spool_ref) == make_sent(1, 100'000).whole());
  put(2);
}

TEST_F(SegmentSpoolTest, RowsWhoseBytesAreGoneAreNamed) {
  const Receipt receipt = put(1, 100'000);
  ASSERT_THAT(spool->catch_up(), IsOk());
  spool.reset();
  ASSERT_THAT(
      files.remove(FileSystem::Path("/spool") / layout::kSegmentFolder / layout::segment_file(1)),
      IsOk());

  restart();

  EXPECT_TRUE(env.log.contains("spool.bytes_missing instance=" + receipt.id.text()));
}

TEST_F(SegmentSpoolTest, AnotherLedgersSegmentsAreNotReplayed) {
  options.max_rows_behind = 2;
  options.rows_at_once = 2;
  restart();
  for (std::uint64_t n = 0; n < 12; ++n) {
    put(n, 1000);
    ASSERT_THAT(spool->catch_up(), IsOk());
  }
  spool.reset();
  IntakeLedger another(env);
  ASSERT_OK_AND_ASSIGN(const auto next,
                       open_segment_spool(env, "/spool", another, *admission, options));

  EXPECT_THAT(next->recover(), FailsWith("spool.unclaimed", Fate::permanent));
  EXPECT_THAT(another.arrivals(), IsEmpty());
}

TEST_F(SegmentSpoolTest, ASpoolOfFilesIsReadOnAsItIs) {
  spool.reset();
  Receipt receipt;
  {
    ASSERT_OK_AND_ASSIGN(const auto old, open_file_spool(env, "/spool", ledger, *admission));
    ASSERT_OK_AND_ASSIGN(receipt, send(*old, make_sent(1, 50'000)));
  }

  restart();

  EXPECT_TRUE(stored(*spool, row_of(receipt)->spool_ref) == make_sent(1, 50'000).whole());
  EXPECT_EQ(spool->used_bytes().value(), make_sent(1, 50'000).whole().size());
  free(receipt);
  EXPECT_THAT(spool->open(row_of(receipt)->spool_ref), FailsWith("spool.not_found"));
}

}  // namespace
}  // namespace isthmus::test
