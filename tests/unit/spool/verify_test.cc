// The spool from outside: what is whole, damaged, gone, or on its way out.
#include "spool/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/layout.h"
#include "spool/admission.h"
#include "spool/segments/format.h"
#include "spool/spool.h"
#include "support/incoming.h"
#include "support/intake_ledger.h"
#include "support/matchers.h"
#include "support/power_loss_files.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class SpoolVerify : public ::testing::Test {
 protected:
  SpoolVerify() {
    SegmentOptions options;
    options.segment_bytes = 1 * MiB;
    options.max_instance_bytes = 100'000;
    options.reserve_bytes = 0;
    options.background = false;
    spool = open_segment_spool(env, "/spool", ledger, admission, options).value();
    EXPECT_THAT(spool->recover(), IsOk());
    for (std::uint64_t n = 0; n < 6; ++n) {  // some in a segment, some in files
      EXPECT_THAT(send(*spool, make_sent(n, 40'000 * (n + 1))), IsOk());
    }
    EXPECT_THAT(spool->catch_up(), IsOk());
  }
  Arrival arrival(std::uint64_t number) {
    const auto wanted = make_sent(number, 1).identified.identity.sop_instance_uid;
    for (const Arrival& one : ledger.arrivals()) {
      if (one.identity.sop_instance_uid == wanted) return one;
    }
    return {};
  }
  std::vector<SpoolFinding> findings() {
    std::vector<SpoolFinding> all;
    const auto report =
        verify_spool(env, "/spool", ledger, [&](const SpoolFinding& one) { all.push_back(one); });
    EXPECT_THAT(report, IsOk());
    EXPECT_EQ(report->findings, all.size());
    return all;
  }
  void flip_a_byte(const FileSystem::Path& path, std::uint64_t at) {
    const auto file = files.open(path, FileSystem::Mode::open_or_create).value();
    std::byte byte{};
    ASSERT_THAT(file->read_at(at, {&byte, 1}), IsOk());
    byte ^= std::byte{1};
    ASSERT_THAT(file->write_at(at, {&byte, 1}), IsOk());
  }

  PowerLossFiles files;
  TestEnv env{1, files};
  IntakeLedger ledger{env};
  Admission admission{env, {.directory = "/spool", .reserve_bytes = 0, .resume_bytes = 0}};
  std::unique_ptr<Spool> spool;
};

TEST_F(SpoolVerify, FindsNothingInASoundSpool) {
  EXPECT_THAT(findings(), IsEmpty());
}

TEST_F(SpoolVerify, NamesWhatIsDamagedInASegment) {
  const Arrival damaged = arrival(0);
  const auto place = segments::place_of(damaged.spool_ref);
  ASSERT_TRUE(place);

  flip_a_byte(
      FileSystem::Path("/spool") / layout::kSegmentFolder / layout::segment_file(place->segment),
      place->payload_offset() + damaged.dataset_offset_bytes + 100);

  const auto found = findings();
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].instance, damaged.id);
  EXPECT_EQ(found[0].code, "spool.damaged");
}

TEST_F(SpoolVerify, NamesWhatIsDamagedOrGoneAmongFiles) {
  const Arrival damaged = arrival(4), gone = arrival(5);
  flip_a_byte(FileSystem::Path("/spool") / damaged.spool_ref.text, 100);
  ASSERT_THAT(files.remove(FileSystem::Path("/spool") / gone.spool_ref.text), IsOk());

  const auto found = findings();

  ASSERT_THAT(found, SizeIs(2));
  for (const SpoolFinding& one : found) {
    EXPECT_EQ(one.code, one.instance == gone.id ? "spool.not_found" : "spool.damaged");
  }
}

TEST_F(SpoolVerify, WhatWasFreedIsNoFinding) {
  ASSERT_THAT(spool->free(arrival(5).spool_ref), IsOk());
  ledger.freed(arrival(5).id);

  EXPECT_THAT(findings(), IsEmpty());
}

TEST_F(SpoolVerify, OpensWhatAnotherProcessHolds) {
  for (const std::uint64_t n : {0, 5}) {
    ASSERT_OK_AND_ASSIGN(const auto bytes, open_spooled(env, "/spool", arrival(n).spool_ref));
    EXPECT_TRUE(read_all(*bytes, 1 * MiB).value() == make_sent(n, 40'000 * (n + 1)).whole());
  }
  EXPECT_THAT(open_spooled(env, "/spool", {"../secret"}), FailsWith("spool.not_found"));
}

}  // namespace
}  // namespace isthmus::test
