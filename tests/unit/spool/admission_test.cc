#include "spool/admission.h"

#include <gtest/gtest.h>

#include "support/matchers.h"
#include "support/power_loss_files.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

constexpr std::uint64_t kReserve = 1000;
constexpr std::uint64_t kResume = 1500;

class AdmissionTest : public ::testing::Test {
 protected:
  void measure(std::uint64_t free_bytes) {
    files.set_free_bytes(free_bytes);
    admission.refresh();
  }
  double metric(const char* name) { return env.metrics->gauge(name, "").value(); }
  double refused(const char* reason) {
    return env.metrics->counter("spool_refused_total", "", {{"reason", reason}}).value();
  }

  PowerLossFiles files;
  TestEnv env{1, files};
  Admission admission{env, {.directory = "/", .reserve_bytes = kReserve, .resume_bytes = kResume}};
};

TEST_F(AdmissionTest, IsOpenFromTheStart) {
  EXPECT_THAT(admission.check(), IsOk());
  EXPECT_TRUE(admission.is_open());
}

TEST_F(AdmissionTest, ClosesBelowTheReserveAndSaysSo) {
  measure(kReserve);
  EXPECT_THAT(admission.check(), IsOk());

  measure(kReserve - 1);

  EXPECT_THAT(admission.check(), FailsWith("spool.full", Fate::transient));
  EXPECT_EQ(admission.state(), AdmissionState::full);
  EXPECT_TRUE(env.log.contains("warn admission.full free_bytes=999"));
}

TEST_F(AdmissionTest, OpensAgainOnlyFromTheResumeMarkOn) {
  measure(kReserve - 1);

  measure(kResume - 1);
  EXPECT_THAT(admission.check(), FailsWith("spool.full"));

  measure(kResume);
  EXPECT_THAT(admission.check(), IsOk());
}

TEST_F(AdmissionTest, StaysOpenBetweenTheMarksWhenItWasOpen) {
  measure(kResume - 1);

  EXPECT_THAT(admission.check(), IsOk());
}

TEST_F(AdmissionTest, CountsWhatIsInFlightAgainstTheFreeSpace) {
  admission.in_flight(600);
  measure(kResume);
  EXPECT_THAT(admission.check(), FailsWith("spool.full"));

  admission.in_flight(-600);
  measure(kResume);
  EXPECT_THAT(admission.check(), IsOk());
}

TEST_F(AdmissionTest, IsFullWhenMoreIsInFlightThanFree) {
  admission.in_flight(5000);

  measure(4000);

  EXPECT_THAT(admission.check(), FailsWith("spool.full"));
}

TEST_F(AdmissionTest, CountsSpaceToBeWrittenAgainAsFree) {
  admission.recyclable(600);
  measure(kReserve - 600);
  EXPECT_THAT(admission.check(), IsOk());

  admission.recyclable(-1);
  measure(kReserve - 600);
  EXPECT_THAT(admission.check(), FailsWith("spool.full"));
  EXPECT_TRUE(env.log.contains("admission.full free_bytes=400 recyclable_bytes=599"));
}

TEST_F(AdmissionTest, OpensAgainWhenEnoughSpaceMayBeWrittenAgain) {
  measure(kReserve - 1);

  admission.recyclable(kResume - kReserve);
  measure(kReserve - 1);
  EXPECT_THAT(admission.check(), FailsWith("spool.full"));

  admission.recyclable(1);
  measure(kReserve - 1);
  EXPECT_THAT(admission.check(), IsOk());
}

TEST_F(AdmissionTest, InFlightCountsAgainstSpaceToBeWrittenAgainToo) {
  admission.recyclable(2000);
  admission.in_flight(1500);

  measure(kReserve / 2 - 1);

  EXPECT_THAT(admission.check(), FailsWith("spool.full"));
}

TEST_F(AdmissionTest, WhatWasBegunGoesOnWhileItsSpaceMayBeWrittenAgain) {
  admission.recyclable(2000);
  measure(kReserve / 4);

  EXPECT_THAT(admission.check_continue(), IsOk());
}

TEST_F(AdmissionTest, TheLedgersSpaceIsNotMadeUpForByTheSpools) {
  admission.recyclable(10 * kResume);

  measure(kReserve / 4 - 1);
  EXPECT_THAT(admission.check(), FailsWith("spool.full"));
  EXPECT_THAT(admission.check_continue(), FailsWith("spool.full"));

  measure(kReserve / 2 - 1);
  EXPECT_THAT(admission.check(), FailsWith("spool.full"));

  measure(kReserve / 2);
  EXPECT_THAT(admission.check(), IsOk());
}

TEST_F(AdmissionTest, StoppingIsForGood) {
  admission.close(AdmissionState::stopping);
  measure(10 * kResume);

  EXPECT_THAT(admission.check(), FailsWith("spool.closed", Fate::transient));
}

TEST_F(AdmissionTest, FailedWinsOverStoppingInEitherOrder) {
  admission.close(AdmissionState::stopping);
  admission.close(AdmissionState::failed);
  EXPECT_EQ(admission.state(), AdmissionState::failed);

  admission.close(AdmissionState::stopping);
  EXPECT_EQ(admission.state(), AdmissionState::failed);
}

TEST_F(AdmissionTest, FailedIsNotOpenedByFreeSpace) {
  measure(kReserve - 1);
  admission.close(AdmissionState::failed);

  measure(10 * kResume);

  EXPECT_THAT(admission.check(), FailsWith("spool.closed"));
}

TEST_F(AdmissionTest, WhatWasBegunGoesOnBelowTheReserveUntilHalfOfItIsGone) {
  measure(kReserve - 1);
  EXPECT_THAT(admission.check_continue(), IsOk());

  measure(kReserve / 2 - 1);
  EXPECT_THAT(admission.check_continue(), FailsWith("spool.full", Fate::transient));
}

TEST_F(AdmissionTest, WhatWasBegunGoesOnWhileStoppingButNotAfterAFailure) {
  admission.close(AdmissionState::stopping);
  EXPECT_THAT(admission.check_continue(), IsOk());

  admission.close(AdmissionState::failed);
  EXPECT_THAT(admission.check_continue(), FailsWith("spool.closed"));
}

TEST_F(AdmissionTest, KeepsItsStateWhenTheDiskCannotBeMeasured) {
  measure(kReserve - 1);
  files.set_free_bytes(10 * kResume);
  files.fail_next(FileOperation::space, PowerLossFiles::disk_io_error());

  admission.refresh();

  EXPECT_EQ(admission.state(), AdmissionState::full);
  EXPECT_TRUE(env.log.contains("warn admission.disk_not_measured code=disk.io"));
}

TEST_F(AdmissionTest, ShowsItselfInMetrics) {
  admission.in_flight(7);
  admission.recyclable(11);
  measure(100);
  ignore(admission.check(), "counted");
  ignore(admission.check(), "counted");
  admission.close(AdmissionState::failed);
  ignore(admission.check(), "counted");

  EXPECT_EQ(metric("spool_free_bytes"), 100);
  EXPECT_EQ(metric("spool_in_flight_bytes"), 7);
  EXPECT_EQ(metric("spool_recyclable_bytes"), 11);
  EXPECT_EQ(metric("spool_admission_state"), 3);
  EXPECT_EQ(refused("full"), 2);
  EXPECT_EQ(refused("failed"), 1);
  EXPECT_EQ(refused("stopping"), 0);
}

}  // namespace
}  // namespace isthmus::test
