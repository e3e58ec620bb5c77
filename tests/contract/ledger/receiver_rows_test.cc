// What ReceiverRows promises, on SQLite and on the fake that others' tests stand on.
#include "ledger/receiver_rows.h"

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

enum class Kind { sqlite, memory };

class ReceiverRowsContract : public testing::TestWithParam<Kind> {
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
  ReceiverRows& rows() { return ledger_->receiver_rows(); }
  WallTime at(std::int64_t seconds) const {
    return env_.clock.wall_now() + Milliseconds(1000 * seconds);
  }
  // Received, and then kept from its destination.
  void quarantine(const std::string& uid, const std::string& receiver) {
    Arrival arrival;
    arrival.id = InstanceId::make(env_);
    arrival.identity.sop_class_uid = *Uid::parse("1.2.840.10008.5.1.4.1.1.2");
    arrival.identity.sop_instance_uid = *Uid::parse(uid);
    arrival.identity.series_instance_uid = *Uid::parse("1.2.3");
    arrival.identity.study_instance_uid = *Uid::parse("1.2.4");
    arrival.origin.receiver = receiver;
    arrival.transfer_syntax_uid = "1.2.840.10008.1.2.1";
    arrival.dataset_digest = sha256(as_bytes(uid));
    arrival.file_digest = sha256(as_bytes(uid + "file"));
    arrival.spool_ref = {uid};
    arrival.received_at = env_.clock.wall_now();
    ASSERT_THAT(ledger_->record(arrival, nullptr), IsOk());
    const auto known = ledger_->instances(uid, 1).value();
    ASSERT_THAT(
        ledger_->quarantine(known.front().deliveries.front().id, DeliveryEvent::input_unusable,
                            permanent_error("dicom.unreadable", "It is not readable.")),
        IsOk());
  }

  TestEnv env_;
  std::unique_ptr<Ledger> ledger_;
};

TEST_P(ReceiverRowsContract, KeepsAMarkUntilTheNextOne) {
  EXPECT_EQ(rows().mark("feed").value(), std::nullopt);
  ASSERT_THAT(rows().keep_mark("feed", "17"), IsOk());
  ASSERT_THAT(rows().keep_mark("walk", "a"), IsOk());
  ASSERT_THAT(rows().keep_mark("feed", "18"), IsOk());

  EXPECT_EQ(rows().mark("feed").value(), "18");
  EXPECT_EQ(rows().mark("walk").value(), "a");
}

TEST_P(ReceiverRowsContract, RemembersWhatCouldNotBeTakenUntilItWas) {
  ASSERT_THAT(rows().note_untaken({"b", "dicom.unreadable", "One.", at(1)}), IsOk());
  ASSERT_THAT(rows().note_untaken({"a", "dicom.unreadable", "Two.", at(2)}), IsOk());
  ASSERT_THAT(rows().note_untaken({"b", "dicom.missing_uid", "Three.", at(3)}), IsOk());

  ASSERT_OK_AND_ASSIGN(const auto both, rows().untaken(10));
  EXPECT_THAT(both, ElementsAre(Field(&UntakenInstance::code, "dicom.missing_uid"),
                                Field(&UntakenInstance::archive_id, "a")));
  EXPECT_EQ(both.front().since, at(1));
  EXPECT_THAT(rows().untaken(1).value(), ElementsAre(Field(&UntakenInstance::archive_id, "b")));

  ASSERT_THAT(rows().forget_untaken("b"), IsOk());
  ASSERT_THAT(rows().forget_untaken("never noted"), IsOk());
  EXPECT_THAT(rows().untaken(10).value(), ElementsAre(Field(&UntakenInstance::archive_id, "a")));
}

TEST_P(ReceiverRowsContract, TellsWhatCameToRestOfOneReceiverInOrderAndOnce) {
  quarantine("1.5", "orthanc");
  quarantine("1.6", "dimse");
  quarantine("1.7", "orthanc");

  ASSERT_OK_AND_ASSIGN(const NewsPage all, rows().news("orthanc", 0, 1000));
  ASSERT_EQ(all.news.size(), 2U);
  EXPECT_EQ(all.news[0].sop_instance_uid.text(), "1.5");
  EXPECT_EQ(all.news[0].state, "quarantined");
  EXPECT_EQ(all.news[0].reason_code, "dicom.unreadable");
  EXPECT_EQ(all.news[0].destination, "cloud");
  EXPECT_EQ(all.news[1].sop_instance_uid.text(), "1.7");
  ASSERT_OK_AND_ASSIGN(const NewsPage none, rows().news("orthanc", all.reached, 1000));
  EXPECT_THAT(none.news, IsEmpty());
  EXPECT_EQ(none.reached, all.reached);
}

TEST_P(ReceiverRowsContract, APageIsBoundedAndLeavesNothingOut) {
  for (int i = 0; i < 4; ++i) quarantine("1.5." + std::to_string(i), "orthanc");

  std::vector<std::string> seen;
  std::int64_t after = 0;
  for (;;) {
    ASSERT_OK_AND_ASSIGN(const NewsPage page, rows().news("orthanc", after, 1));
    ASSERT_LE(page.news.size(), 1U);
    for (const DeliveryNews& news : page.news) seen.push_back(news.sop_instance_uid.text());
    if (page.reached == after) break;
    after = page.reached;
  }

  EXPECT_THAT(seen, ElementsAre("1.5.0", "1.5.1", "1.5.2", "1.5.3"));
}

INSTANTIATE_TEST_SUITE_P(Ledgers, ReceiverRowsContract, testing::Values(Kind::sqlite, Kind::memory),
                         [](const auto& kind) {
                           return kind.param == Kind::sqlite ? "Sqlite" : "Memory";
                         });

}  // namespace
}  // namespace isthmus::test
