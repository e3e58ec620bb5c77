#include "plugin/intake_ahead.h"

#include <gmock/gmock.h>

#include <thread>

#include "spool/admission.h"
#include "support/dicom_factory.h"
#include "support/intake_ledger.h"
#include "support/matchers.h"
#include "support/power_loss_files.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

using plugin::AheadOptions;
using plugin::IntakeAhead;
using testing::IsEmpty;
using testing::SizeIs;

std::string file_of(std::uint64_t number) {
  DicomRecipe recipe;
  recipe.sop_instance_uid = "2.25.1001.1." + std::to_string(number);
  recipe.seed = number;
  return make_part10(recipe);
}

class IntakeAheadTest : public testing::Test {
 protected:
  IntakeAheadTest() { open_spool(16 * MiB); }
  void open_spool(std::uint64_t buffer_bytes) {
    SegmentOptions segment;
    segment.segment_bytes = 1 * MiB;
    segment.reserve_bytes = 0;
    segment.buffer_bytes = buffer_bytes;
    spool_.reset();
    spool_ = open_segment_spool(env_, "/spool", ledger_, admission_, segment).value();
    EXPECT_THAT(spool_->recover(), IsOk());
  }
  void start(SenderPolicy policy = {}) {
    senders_.emplace(std::move(policy));
    ahead_.emplace(env_, *spool_, *senders_, options_);
  }
  std::vector<Arrival> rows() {
    EXPECT_THAT(spool_->catch_up(), IsOk());
    return ledger_.arrivals();
  }
  double ended(const char* result) {
    return env_.env().metrics.counter("orthanc_ahead_total", "", {{"result", result}}).value();
  }
  // Until the spool has it: what begin() began goes on by itself.
  void wait_for_record() {
    while (env_.env().metrics.counter("spool_segment_syncs_total", "").value() == 0) {
      std::this_thread::yield();
    }
  }

  PowerLossFiles files_;
  TestEnv env_{1, files_};
  IntakeLedger ledger_{env_};
  Admission admission_{env_, {.directory = "/spool", .reserve_bytes = 0, .resume_bytes = 0}};
  AheadOptions options_;
  std::unique_ptr<Spool> spool_;
  std::optional<Senders> senders_;
  std::optional<IntakeAhead> ahead_;
  const Origin origin_{.receiver = "orthanc",
                       .calling_ae_title = "CT1",
                       .called_ae_title = "ORTHANC",
                       .peer_address = "192.0.2.7",
                       .association_id = ""};
};

TEST_F(IntakeAheadTest, WhatOrthancStoresIsOursWithAllThatIsKnownOfItsSender) {
  start();
  const std::string file = file_of(1);
  ahead_->begin(as_bytes(file), "CT1");

  auto concluded = ahead_->conclude(as_bytes(file), origin_);

  ASSERT_TRUE(concluded);
  ASSERT_THAT(*concluded, IsOk());
  const auto held = rows();
  ASSERT_THAT(held, SizeIs(1));
  EXPECT_EQ(held[0].id, (*concluded)->id);
  EXPECT_EQ(held[0].origin, origin_);
  EXPECT_EQ(ended("taken"), 1);
}

TEST_F(IntakeAheadTest, NothingIsOursBeforeOrthancStoredIt) {
  start();
  const std::string file = file_of(1);
  ahead_->begin(as_bytes(file), "CT1");
  wait_for_record();

  EXPECT_THAT(ledger_.arrivals(), IsEmpty());
  ASSERT_TRUE(ahead_->conclude(as_bytes(file), origin_));
  EXPECT_THAT(rows(), SizeIs(1));
}

TEST_F(IntakeAheadTest, WhatOrthancRefusedIsWithdrawnByTheNextOfItsThread) {
  start();
  const std::string refused = file_of(1), stored = file_of(2);
  ahead_->begin(as_bytes(refused), "CT1");
  ahead_->begin(as_bytes(stored), "CT1");

  const auto concluded = ahead_->conclude(as_bytes(stored), origin_);
  ahead_->stop();

  ASSERT_TRUE(concluded);
  const auto held = rows();
  ASSERT_THAT(held, SizeIs(1));
  EXPECT_EQ(held[0].identity.sop_instance_uid.text(), "2.25.1001.1.2");
  EXPECT_EQ(ended("withdrawn"), 1);
}

TEST_F(IntakeAheadTest, WhatIsOverdueIsWithdrawnAndTakenInTheCallbackIfItComesAfterAll) {
  start();
  const std::string file = file_of(1);
  ahead_->begin(as_bytes(file), "CT1");
  env_.clock.advance(options_.patience + Milliseconds{1});

  ahead_->withdraw_overdue();

  EXPECT_FALSE(ahead_->conclude(as_bytes(file), origin_));
  ahead_->stop();
  EXPECT_THAT(rows(), IsEmpty());
}

TEST_F(IntakeAheadTest, WhatIsForgottenIsNotTakenForTheNextThatLiesInItsPlace) {
  start();
  const std::string file = file_of(1);
  ahead_->begin(as_bytes(file), "CT1");

  ahead_->forget();

  EXPECT_FALSE(ahead_->conclude(as_bytes(file), origin_));
  ahead_->stop();
  EXPECT_THAT(rows(), IsEmpty());
}

TEST_F(IntakeAheadTest, StoppingWithdrawsWhatWasNotConcluded) {
  start();
  const std::string file = file_of(1);
  ahead_->begin(as_bytes(file), "CT1");

  ahead_->stop();

  EXPECT_FALSE(ahead_->conclude(as_bytes(file), origin_));
  EXPECT_THAT(rows(), IsEmpty());
}

TEST_F(IntakeAheadTest, OtherBytesOfThatThreadAreNotMistakenForIt) {
  start();
  const std::string begun = file_of(1), other = file_of(2);
  ahead_->begin(as_bytes(begun), "CT1");

  EXPECT_FALSE(ahead_->conclude(as_bytes(other), origin_));
}

TEST_F(IntakeAheadTest, ThreadsAreToldApart) {
  start();
  std::vector<std::thread> threads;
  std::atomic<int> taken{0};
  for (std::uint64_t number = 1; number <= 6; ++number) {
    threads.emplace_back([&, number] {
      const std::string file = file_of(number);
      ahead_->begin(as_bytes(file), "CT1");
      const auto concluded = ahead_->conclude(as_bytes(file), origin_);
      if (concluded && concluded->ok()) ++taken;
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(taken, 6);
  EXPECT_THAT(rows(), SizeIs(6));
}

TEST_F(IntakeAheadTest, WhatIsTooLargeOrTooMuchIsLeftToTheCallback) {
  const std::string file = file_of(1);
  options_.most_bytes = file.size() - 1;
  start();
  ahead_->begin(as_bytes(file), "CT1");
  EXPECT_FALSE(ahead_->conclude(as_bytes(file), origin_));

  options_.most_bytes = 4 * MiB;
  ahead_.reset();
  open_spool(64 * KiB);
  start();
  const std::string large = file + std::string(100'000, '\0');
  ahead_->begin(as_bytes(large), "CT1");
  EXPECT_FALSE(ahead_->conclude(as_bytes(large), origin_));
  ahead_->begin(as_bytes(file), "CT1");
  const auto concluded = ahead_->conclude(as_bytes(file), origin_);
  ASSERT_TRUE(concluded);
  EXPECT_THAT(*concluded, IsOk());
}

// The record would say where it goes before that is known.
TEST_F(IntakeAheadTest, RoutesByCalledTitleLeaveEverythingToTheCallback) {
  SenderPolicy policy;
  policy.routes = Routes({{"a", {*RouteCondition::parse("called_ae_title equals X")}, {"near"}}});
  start(std::move(policy));
  const std::string file = file_of(1);
  ahead_->begin(as_bytes(file), "CT1");

  EXPECT_FALSE(ahead_->conclude(as_bytes(file), origin_));
}

TEST_F(IntakeAheadTest, WhatCannotBeTakenIsAnErrorWithItsReason) {
  start();
  const std::string file = "this is no Part 10 file at all";
  ahead_->begin(as_bytes(file), "CT1");

  const auto concluded = ahead_->conclude(as_bytes(file), origin_);

  ASSERT_TRUE(concluded);
  EXPECT_EQ(concluded->error().fate, Fate::permanent);
  EXPECT_THAT(rows(), IsEmpty());
}

TEST_F(IntakeAheadTest, AFullSpoolIsToldAsByTheCallback) {
  start();
  admission_.close(AdmissionState::failed);
  const std::string file = file_of(1);
  ahead_->begin(as_bytes(file), "CT1");

  const auto concluded = ahead_->conclude(as_bytes(file), origin_);

  ASSERT_TRUE(concluded);
  EXPECT_THAT(*concluded, FailsWith("spool.closed"));
}

}  // namespace
}  // namespace isthmus::test
