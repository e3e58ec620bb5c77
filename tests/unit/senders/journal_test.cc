#include "senders/journal.h"

#include <gmock/gmock.h>

#include "support/matchers.h"
#include "support/memory_sender_rows.h"
#include "support/test_env.h"

namespace isthmus {
namespace {

using test::FailsWith;
using test::IsOk;
using testing::IsEmpty;
using testing::SizeIs;

class Journal : public testing::Test {
 protected:
  static SenderRequest request(std::string title) {
    return {std::move(title), "ISTHMUS", "10.1.2.3", std::nullopt};
  }
  void note(std::string title) {
    journal_.note(request(std::move(title)), SenderRefusal::unknown_sender, "CTImageStorage");
  }
  double overlooked() { return env_.metrics->counter("senders_overlooked_total", "").value(); }

  test::TestEnv env_;
  test::MemorySenderRows rows_;
  SenderJournal journal_{env_, rows_};
};

TEST_F(Journal, WritesNothingBeforeItIsAsked) {
  note("CT_1");

  EXPECT_THAT(rows_.refused().value(), IsEmpty());
}

TEST_F(Journal, BringsWhatWasNotedIntoTheLedger) {
  const WallTime first = env_.clock.wall_now();
  note("CT_1");
  env_.clock.advance(Milliseconds(5000));
  note("CT_1");
  note("MR\x1b");

  ASSERT_THAT(journal_.flush(), IsOk());

  const auto known = rows_.refused().value();
  ASSERT_THAT(known, SizeIs(2));
  EXPECT_EQ(known[0].calling_ae_title, "MR\\x1b");
  EXPECT_EQ(known[1].calling_ae_title, "CT_1");
  EXPECT_EQ(known[1].times, 2);
  EXPECT_EQ(known[1].first_at, first);
  EXPECT_EQ(known[1].last_at, env_.clock.wall_now());
  EXPECT_EQ(known[1].reason, "unknown_sender");
  EXPECT_EQ(known[1].asked, "CTImageStorage");
  journal_.measure();
  EXPECT_EQ(env_.metrics->gauge("senders_waiting_count", "").value(), 2);
}

TEST_F(Journal, KeepsTheCertificateThatWasShown) {
  SenderRequest secure = request("CT_1");
  secure.tls = TlsIdentity{std::string(64, 'a'), "ct.example", {}};
  journal_.note(secure, SenderRefusal::sender_tls, "");

  ASSERT_THAT(journal_.flush(), IsOk());

  EXPECT_EQ(rows_.refused()->front().certificate_fingerprint, std::string(64, 'a'));
  EXPECT_EQ(rows_.refused()->front().certificate_name, "ct.example");
}

TEST_F(Journal, KeepsItsNotesWhenTheLedgerCannotTakeThem) {
  note("CT_1");
  rows_.refuse(transient_error("ledger.full", "no space"));
  EXPECT_THAT(journal_.flush(), FailsWith("ledger.full"));
  note("MR_1");
  rows_.refuse(std::nullopt);

  ASSERT_THAT(journal_.flush(), IsOk());

  EXPECT_THAT(rows_.refused().value(), SizeIs(2));
}

TEST_F(Journal, IsBoundedAndSaysWhatItOverlooked) {
  for (int i = 0; i < 300; ++i) note("FAKE" + std::to_string(i));
  ASSERT_THAT(journal_.flush(), IsOk());

  // 256 notes at most, of which one address keeps 32.
  EXPECT_EQ(overlooked(), 44 + 256 - SenderRows::kMostRefusedOfAddress);
  EXPECT_THAT(rows_.refused().value(), SizeIs(SenderRows::kMostRefusedOfAddress));
}

}  // namespace
}  // namespace isthmus
