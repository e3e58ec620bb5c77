// What SenderRows promises, on SQLite and on the fake that others' tests stand on.
#include "ledger/sender_rows.h"

#include <gmock/gmock.h>

#include "ledger/ledger.h"
#include "support/matchers.h"
#include "support/memory_ledger.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;
using testing::SizeIs;

enum class Kind { sqlite, memory };

class SenderRowsContract : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override { open(); }
  void open() {
    ledger_.reset();
    if (GetParam() == Kind::memory) {
      ledger_ = std::make_unique<MemoryLedger>(env_, std::vector<std::string>{"cloud"});
    } else {
      ledger_ = open_sqlite_ledger(
                    env_, {.directory = env_.folder() / "ledger", .destinations = {"cloud"}})
                    .value();
    }
  }
  SenderRows& rows() { return ledger_->sender_rows(); }
  WallTime at(std::int64_t seconds) const {
    return env_.clock.wall_now() + Milliseconds(1000 * seconds);
  }
  RefusedSender refused(std::string title, std::string address, std::int64_t seconds) const {
    RefusedSender one;
    one.calling_ae_title = std::move(title);
    one.called_ae_title = "ISTHMUS";
    one.peer_address = std::move(address);
    one.reason = "unknown_sender";
    one.asked = "CTImageStorage";
    one.times = 1;
    one.first_at = one.last_at = at(seconds);
    return one;
  }

  TestEnv env_;
  std::unique_ptr<Ledger> ledger_;
};

TEST_P(SenderRowsContract, KeepsAPersonsWordByName) {
  ASSERT_THAT(rows().put({"mr", false, "calling_ae_title MR_1\n", at(0)}), IsOk());
  ASSERT_THAT(rows().put({"bad", true, "", at(1)}), IsOk());
  ASSERT_THAT(rows().put({"mr", true, "calling_ae_title MR_2\n", at(2)}), IsOk());

  ASSERT_OK_AND_ASSIGN(const auto known, rows().senders());

  ASSERT_THAT(known, ElementsAre(Field(&SenderRow::name, "bad"), Field(&SenderRow::name, "mr")));
  EXPECT_TRUE(known[1].blocked);
  EXPECT_EQ(known[1].definition, "calling_ae_title MR_2\n");
  EXPECT_EQ(known[1].changed_at, at(2));
  EXPECT_EQ(rows().remove("mr").value(), true);
  EXPECT_EQ(rows().remove("mr").value(), false);
  EXPECT_THAT(rows().senders().value(), SizeIs(1));
}

TEST_P(SenderRowsContract, RefusesANameThatCannotBe) {
  EXPECT_THAT(rows().put({"", false, "", at(0)}), FailsWith("ledger.constraint"));
  EXPECT_THAT(rows().put({std::string(33, 'x'), false, "", at(0)}), FailsWith("ledger.constraint"));
}

TEST_P(SenderRowsContract, AddsUpWhatOneSenderDoesAndTellsItsLastWords) {
  RefusedSender again = refused("CT_1", "10.0.0.1", 5);
  again.times = 3;
  again.asked = "MRImageStorage";
  again.reason = "sender_address";

  ASSERT_THAT(rows().remember({refused("CT_1", "10.0.0.1", 1), refused("CT_1", "10.0.0.2", 2)}),
              IsOk());
  ASSERT_THAT(rows().remember({again}), IsOk());

  ASSERT_OK_AND_ASSIGN(const auto known, rows().refused());
  ASSERT_THAT(known, SizeIs(2));
  EXPECT_EQ(known[0].peer_address, "10.0.0.1");
  EXPECT_EQ(known[0].times, 4);
  EXPECT_EQ(known[0].first_at, at(1));
  EXPECT_EQ(known[0].last_at, at(5));
  EXPECT_EQ(known[0].asked, "MRImageStorage");
  EXPECT_EQ(known[0].reason, "sender_address");
  EXPECT_EQ(known[1].peer_address, "10.0.0.2");
}

TEST_P(SenderRowsContract, AnotherCertificateIsAnotherSender) {
  RefusedSender with_certificate = refused("CT_1", "10.0.0.1", 2);
  with_certificate.certificate_fingerprint = std::string(64, 'a');
  with_certificate.certificate_name = "ct.example";

  ASSERT_THAT(rows().remember({refused("CT_1", "10.0.0.1", 1), with_certificate}), IsOk());

  ASSERT_OK_AND_ASSIGN(const auto known, rows().refused());
  ASSERT_THAT(known, SizeIs(2));
  EXPECT_EQ(known[0].certificate_name, "ct.example");
}

TEST_P(SenderRowsContract, ForgetsByTitleAndAddress) {
  ASSERT_THAT(rows().remember({refused("A", "10.0.0.1", 1), refused("A", "10.0.0.2", 2),
                               refused("B", "10.0.0.1", 3)}),
              IsOk());

  EXPECT_EQ(rows().forget("A", "10.0.0.2").value(), 1);
  EXPECT_EQ(rows().forget("A", "").value(), 1);
  EXPECT_EQ(rows().forget("A", "").value(), 0);
  EXPECT_THAT(rows().refused().value(), ElementsAre(Field(&RefusedSender::calling_ae_title, "B")));
}

TEST_P(SenderRowsContract, WhoMakesUpNamesLosesItsOwnFirst) {
  ASSERT_THAT(rows().remember({refused("REAL", "10.0.0.1", 0)}), IsOk());
  std::int64_t forgotten = 0;
  for (int i = 1; i <= SenderRows::kMostRefusedOfAddress + 10; ++i) {
    const auto more = rows().remember({refused("FAKE" + std::to_string(i), "10.6.6.6", i)});
    ASSERT_THAT(more, IsOk());
    forgotten += *more;
  }

  ASSERT_OK_AND_ASSIGN(const auto known, rows().refused());

  EXPECT_EQ(forgotten, 10);
  EXPECT_THAT(known, SizeIs(SenderRows::kMostRefusedOfAddress + 1));
  EXPECT_EQ(known.back().calling_ae_title, "REAL");
  EXPECT_EQ(known[static_cast<std::size_t>(SenderRows::kMostRefusedOfAddress) - 1].calling_ae_title,
            "FAKE11");
}

TEST_P(SenderRowsContract, AreBoundedInAll) {
  std::vector<RefusedSender> many;
  for (int i = 0; i < SenderRows::kMostRefused + 5; ++i) {
    many.push_back(
        refused("X", "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250), i));
  }

  EXPECT_EQ(rows().remember(many).value(), 5);

  ASSERT_OK_AND_ASSIGN(const auto known, rows().refused());
  EXPECT_THAT(known, SizeIs(SenderRows::kMostRefused));
  EXPECT_EQ(known.back().peer_address, "10.0.0.5");
}

INSTANTIATE_TEST_SUITE_P(Every, SenderRowsContract, testing::Values(Kind::sqlite, Kind::memory),
                         [](const auto& kind) {
                           return kind.param == Kind::sqlite ? "Sqlite" : "Memory";
                         });

class SenderRowsOnDisk : public SenderRowsContract {};

TEST_P(SenderRowsOnDisk, OutliveTheProcess) {
  ASSERT_THAT(rows().put({"mr", false, "x", at(0)}), IsOk());
  ASSERT_THAT(rows().remember({refused("CT_1", "10.0.0.1", 1)}), IsOk());

  open();

  EXPECT_THAT(rows().senders().value(), SizeIs(1));
  EXPECT_THAT(rows().refused().value(), SizeIs(1));
  EXPECT_THAT(ledger_->check().value(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Real, SenderRowsOnDisk, testing::Values(Kind::sqlite));

}  // namespace
}  // namespace isthmus::test
