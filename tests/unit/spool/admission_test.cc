#include "spool/admission.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

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

TEST_F(AdmissionTest, ADrainLastsUntilItIsEndedWhateverTheDisk) {
  admission.drain(true);
  admission.drain(true);
  EXPECT_THAT(admission.check(), FailsWith("spool.draining", Fate::transient));
  EXPECT_FALSE(admission.takes_associations());
  EXPECT_THAT(admission.check_continue(), IsOk());
  measure(10 * kResume);
  EXPECT_TRUE(admission.is_draining());
  EXPECT_EQ(metric("spool_admission_state"), 6);

  admission.drain(false);

  EXPECT_THAT(admission.check(), IsOk());
  EXPECT_EQ(admission.state(), AdmissionState::open);
}

TEST_F(AdmissionTest, AfterADrainTheDiskDecides) {
  admission.drain(true);
  measure(kReserve - 1);

  admission.drain(false);

  EXPECT_THAT(admission.check(), FailsWith("spool.full"));
}

TEST_F(AdmissionTest, ADrainIsNoWayBackFromBeingClosed) {
  admission.close(AdmissionState::stopping);

  admission.drain(true);
  admission.drain(false);

  EXPECT_THAT(admission.check(), FailsWith("spool.closed"));
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

// Marks of its own: full below 1000, refusing below 2000, tight below 4000, each left 500 later.
class GradesTest : public AdmissionTest {
 protected:
  void expect_state(std::uint64_t free_bytes, AdmissionState expected) {
    files.set_free_bytes(free_bytes);
    graded.refresh();
    EXPECT_EQ(to_string(graded.state()), to_string(expected)) << free_bytes;
  }
  // Free space shrinks by `bytes_per_second`, measured twice a second.
  void shrink(std::uint64_t from_bytes, std::int64_t bytes_per_second, int seconds) {
    std::int64_t free = static_cast<std::int64_t>(from_bytes);
    for (int i = 0; i <= 2 * seconds; ++i) {
      files.set_free_bytes(static_cast<std::uint64_t>(free));
      graded.refresh();
      if (i < 2 * seconds) env.clock.advance(Milliseconds(500));
      free -= bytes_per_second / 2;
    }
  }
  std::size_t events(const std::string& start) {
    const auto lines = env.log.lines();
    return static_cast<std::size_t>(
        std::count_if(lines.begin(), lines.end(),
                      [&](const std::string& line) { return line.starts_with(start); }));
  }

  Admission graded{env,
                   {.directory = "/",
                    .reserve_bytes = kReserve,
                    .resume_bytes = kResume,
                    .refuse_bytes = 2000,
                    .warn_bytes = 4000}};
};

TEST_F(GradesTest, EachBeginsBelowItsMarkAndEndsADistanceAboveIt) {
  expect_state(4000, AdmissionState::open);
  expect_state(3999, AdmissionState::tight);
  expect_state(2000, AdmissionState::tight);
  expect_state(1999, AdmissionState::refusing);
  expect_state(1000, AdmissionState::refusing);
  expect_state(999, AdmissionState::full);

  expect_state(1499, AdmissionState::full);
  expect_state(1500, AdmissionState::refusing);
  expect_state(2499, AdmissionState::refusing);
  expect_state(2500, AdmissionState::tight);
  expect_state(4499, AdmissionState::tight);
  expect_state(4500, AdmissionState::open);
}

TEST_F(GradesTest, AreSkippedWhenSpaceGoesOrComesAtOnce) {
  expect_state(10, AdmissionState::full);
  expect_state(100'000, AdmissionState::open);
}

TEST_F(GradesTest, TellEachPartyItsOwn) {
  expect_state(3999, AdmissionState::tight);
  EXPECT_TRUE(graded.takes_associations());
  EXPECT_THAT(graded.check(), IsOk());

  expect_state(1999, AdmissionState::refusing);
  EXPECT_FALSE(graded.takes_associations());
  EXPECT_THAT(graded.check(), IsOk());

  expect_state(999, AdmissionState::full);
  EXPECT_FALSE(graded.takes_associations());
  EXPECT_THAT(graded.check(), FailsWith("spool.full"));
}

TEST_F(GradesTest, AreOneEventPerChange) {
  for (const std::uint64_t free : {3999U, 3999U, 3500U, 1999U, 1999U, 999U, 5000U, 5000U}) {
    files.set_free_bytes(free);
    graded.refresh();
  }

  EXPECT_EQ(events("warn admission.tight"), 1U);
  EXPECT_EQ(events("warn admission.refusing"), 1U);
  EXPECT_EQ(events("warn admission.full"), 1U);
  EXPECT_EQ(events("info admission.open"), 1U);
  EXPECT_EQ(env.log.lines().size(), 4U);
  EXPECT_TRUE(
      env.log.contains("warn admission.refusing free_bytes=1999 recyclable_bytes=0 "
                       "in_flight_bytes=0 available_bytes=1999 was=tight"));
}

TEST_F(GradesTest, WithoutMarksOfTheirOwnFollowTheReserve) {
  measure(4 * kReserve - 1);
  EXPECT_EQ(admission.state(), AdmissionState::tight);

  measure(3 * kReserve / 2 - 1);
  EXPECT_EQ(admission.state(), AdmissionState::refusing);
}

TEST_F(GradesTest, FullIsForeseenAtThePresentRate) {
  shrink(1'000'000, 1000, 600);  // down to 400,000: 399 s are left

  ASSERT_TRUE(graded.time_to_full());
  EXPECT_NEAR(static_cast<double>(graded.time_to_full()->count()) / 1000, 399, 1);
  EXPECT_NEAR(metric("spool_fill_bytes_per_second"), 1000, 1);
  EXPECT_NEAR(metric("spool_time_to_full_seconds"), 399, 1);
}

TEST_F(GradesTest, WhatIsFreedMeanwhileIsTakenOffTheRate) {
  shrink(1'000'000, 1000, 600);
  // The same intake, and three quarters of it freed or made ready to be written again.
  std::int64_t free = 400'000;
  for (int i = 0; i < 600; ++i) {
    env.clock.advance(Milliseconds(1000));
    free -= 500;
    graded.recyclable(250);
    files.set_free_bytes(static_cast<std::uint64_t>(free));
    graded.refresh();
  }

  EXPECT_NEAR(metric("spool_fill_bytes_per_second"), 250, 1);
}

TEST_F(GradesTest, NothingIsForeseenWhenSpaceDoesNotShrink) {
  expect_state(100'000, AdmissionState::open);
  EXPECT_FALSE(graded.time_to_full());
  EXPECT_TRUE(std::isinf(metric("spool_time_to_full_seconds")));

  shrink(100'000, 1000, 60);
  EXPECT_TRUE(graded.time_to_full());

  shrink(40'000, -1000, 600);
  EXPECT_FALSE(graded.time_to_full());
  EXPECT_TRUE(std::isinf(metric("spool_time_to_full_seconds")));
}

TEST_F(GradesTest, NothingIsForeseenBeyondAMonth) {
  shrink(100'000'000'000, 10, 600);

  EXPECT_GT(metric("spool_fill_bytes_per_second"), 9);
  EXPECT_FALSE(graded.time_to_full());
}

TEST_F(GradesTest, FullIsNow) {
  expect_state(999, AdmissionState::full);

  EXPECT_EQ(graded.time_to_full(), Milliseconds(0));
}

TEST_F(GradesTest, TwoMeasurementsAtOneInstantAreNoRate) {
  expect_state(100'000, AdmissionState::open);
  expect_state(50'000, AdmissionState::open);

  EXPECT_EQ(metric("spool_fill_bytes_per_second"), 0);
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
  EXPECT_EQ(metric("spool_admission_state"), 5);
  EXPECT_EQ(refused("full"), 2);
  EXPECT_EQ(refused("failed"), 1);
  EXPECT_EQ(refused("stopping"), 0);
}

}  // namespace
}  // namespace isthmus::test
