#include "pipeline/pace.h"

#include <gtest/gtest.h>

#include "model/batch.h"
#include "pipeline/fair_order.h"
#include "pipeline/upload_hours.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

using namespace std::chrono_literals;

SteadyTime at(Milliseconds since_start) {
  return SteadyTime(1'000'000ms + since_start);
}

// --- rate

// How many calls of a caller that always wants to call are let through in `duration`.
int calls_in(AdaptiveRate& rate, Milliseconds from, Milliseconds duration) {
  int calls = 0;
  for (Milliseconds now = from; now < from + duration;) {
    const Milliseconds wait = rate.wait(at(now));
    if (wait > 0ms) {
      now += wait;
      continue;
    }
    rate.take();
    ++calls;
  }
  return calls;
}

TEST(AdaptiveRate, LetsTheBurstThroughThenTheRate) {
  const struct {
    double per_second;
    std::int64_t burst;
    Milliseconds duration;
    int least, most;
  } kCases[] = {{1, 2, 1ms, 2, 2},
                {1, 2, 60s, 60, 62},
                {0.25, 1, 60s, 15, 16},
                {0.25, 1, 1h, 899, 901},
                {25, 50, 10s, 290, 300}};
  for (const auto& one : kCases) {
    AdaptiveRate rate(one.per_second, one.burst, at(0ms));
    const int calls = calls_in(rate, 0ms, one.duration);
    EXPECT_GE(calls, one.least) << one.per_second;
    EXPECT_LE(calls, one.most) << one.per_second;
  }
}

TEST(AdaptiveRate, IsHalvedByThrottlingAndGrowsBack) {
  AdaptiveRate rate(1, 2, at(0ms));

  rate.throttled(at(0ms), 5s);

  EXPECT_EQ(rate.wait(at(0ms)), 5s);
  EXPECT_EQ(rate.wait(at(5s)), 0ms);
  EXPECT_DOUBLE_EQ(rate.per_second(), 0.5);
  for (int i = 0; i < 5; ++i) rate.succeeded();
  EXPECT_DOUBLE_EQ(rate.per_second(), 0.75);
  for (int i = 0; i < 50; ++i) rate.succeeded();
  EXPECT_DOUBLE_EQ(rate.per_second(), 1.0);
  EXPECT_FALSE(rate.is_reduced());
}

TEST(AdaptiveRate, DoesNotSaveUpWhileItIsHeld) {
  AdaptiveRate rate(1, 10, at(0ms));
  while (rate.wait(at(0ms)) == 0ms) rate.take();
  rate.throttled(at(0ms), 60s);

  EXPECT_EQ(calls_in(rate, 60s, 1ms), 1);
}

TEST(AdaptiveRate, NeverComesToAStandstill) {
  AdaptiveRate rate(1, 1, at(0ms));
  for (int i = 0; i < 1000; ++i) rate.throttled(at(0ms), 0ms);
  EXPECT_DOUBLE_EQ(rate.per_second(), 1.0 / 64);
}

// --- limit

TEST(AdaptiveLimit, GivesWayAndComesBackOneByOne) {
  AdaptiveLimit limit(8);
  limit.halve();
  EXPECT_EQ(limit.now(), 4);
  for (int i = 0; i < 3; ++i) limit.succeeded();
  EXPECT_EQ(limit.now(), 4);
  limit.succeeded();
  EXPECT_EQ(limit.now(), 5);
  for (int i = 0; i < 100; ++i) limit.succeeded();
  EXPECT_EQ(limit.now(), 8);
  for (int i = 0; i < 10; ++i) limit.halve();
  EXPECT_EQ(limit.now(), 1);
}

// --- circuit

class Breaker : public testing::Test {
 protected:
  SeededEntropy entropy_{1};
  CircuitBreaker breaker_{3, {1s, 60s}};

  bool fail(const std::string& subject, Milliseconds now, bool its_own = false) {
    return breaker_.failed(subject, its_own, at(now), entropy_);
  }
};

TEST_F(Breaker, OpensWhenDifferentSubjectsFailInARow) {
  EXPECT_TRUE(fail("a", 0ms));
  EXPECT_TRUE(fail("b", 0ms));
  EXPECT_EQ(breaker_.state(at(0ms)), Circuit::closed);

  EXPECT_TRUE(fail("c", 0ms));

  EXPECT_EQ(breaker_.state(at(0ms)), Circuit::open);
  EXPECT_GT(breaker_.wait(at(0ms)), 0ms);
  EXPECT_LE(breaker_.wait(at(0ms)), 1s);
}

TEST_F(Breaker, OneThatAlwaysFailsOpensNothing) {
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(fail("poison", 0ms));
  EXPECT_EQ(breaker_.state(at(0ms)), Circuit::closed);
}

TEST_F(Breaker, ASuccessBetweenThemIsNoOutage) {
  for (int i = 0; i < 10; ++i) {
    fail("a" + std::to_string(i), 0ms);
    fail("b" + std::to_string(i), 0ms);
    breaker_.succeeded();
  }
  EXPECT_EQ(breaker_.state(at(0ms)), Circuit::closed);
}

TEST_F(Breaker, WhatCanOnlyBeTheDestinationsOpensAtOnce) {
  fail("a", 0ms, true);
  EXPECT_EQ(breaker_.state(at(0ms)), Circuit::open);
}

TEST_F(Breaker, AProbeThatFailsOpensAgainForLongerAndCountsForNobody) {
  fail("a", 0ms, true);
  Milliseconds now = 0ms;
  int probes = 0;
  while (now < 24h) {
    now += breaker_.wait(at(now));
    EXPECT_EQ(breaker_.state(at(now)), Circuit::half_open);
    EXPECT_FALSE(fail("a", now));
    ++probes;
  }
  EXPECT_GT(probes, 24 * 60);  // a minute apart at most
  EXPECT_LT(probes, 24 * 60 * 4);

  now += breaker_.wait(at(now));
  breaker_.succeeded();
  EXPECT_EQ(breaker_.state(at(now)), Circuit::closed);
  EXPECT_TRUE(fail("a", now));
}

TEST_F(Breaker, ThoseUnderWayWhenItOpenedCountForNobody) {
  fail("a", 0ms);
  fail("b", 0ms);
  fail("c", 0ms);
  EXPECT_FALSE(breaker_.failed("d", false, at(0ms), entropy_));
}

// --- bandwidth

TEST(Bandwidth, IsKeptOnAverageHoweverLargeThePieces) {
  for (const std::uint64_t piece : {1'000u, 100'000u, 5'000'000u}) {
    Bandwidth bandwidth(1'000'000, at(0ms));
    std::uint64_t sent = 0;
    Milliseconds now = 0ms;
    while (now < 100s) {
      now += bandwidth.wait(at(now));
      bandwidth.take(piece);
      sent += piece;
    }
    EXPECT_GE(sent, 100'000'000u);
    EXPECT_LE(sent, 101'000'000u + 2 * piece);
  }
}

TEST(Bandwidth, WithoutALimitNobodyWaits) {
  Bandwidth bandwidth(0, at(0ms));
  bandwidth.take(1'000'000'000);
  EXPECT_EQ(bandwidth.wait(at(0ms)), 0ms);
}

// --- hours

TEST(UploadHours, SaysHowLongUntilTheyBegin) {
  const struct {
    std::vector<std::string> windows;
    Milliseconds time_of_day, wait;
  } kCases[] = {{{}, 12h, 0ms},
                {{"22:00-06:00"}, 12h, 10h},
                {{"22:00-06:00"}, 22h, 0ms},
                {{"22:00-06:00"}, 5h + 59min, 0ms},
                {{"22:00-06:00"}, 6h, 16h},
                {{"12:00-13:00"}, 13h, 23h},
                {{"12:00-13:00", "18:00-24:00"}, 13h, 5h},
                {{"12:00-13:00", "18:00-24:00"}, 23h + 59min, 0ms},
                {{"00:00-24:00"}, 3h, 0ms}};
  for (const auto& one : kCases) {
    const auto hours = UploadHours::parse(one.windows);
    ASSERT_TRUE(hours);
    EXPECT_EQ(hours->until_open(one.time_of_day), one.wait);
  }
}

TEST(UploadHours, TakesNothingElse) {
  for (const char* text :
       {"", "22-06", "22:00", "22:00-", "25:00-06:00", "22:60-06:00", "8:00-09:00", "08:00-08:00",
        "24:00-06:00", "aa:bb-cc:dd", "22:00-06:00 "}) {
    EXPECT_FALSE(UploadHours::parse({text})) << text;
  }
}

// --- fairness

Batch batch_of(const std::string& study, Milliseconds opened) {
  Batch batch;
  if (!study.empty()) batch.study_instance_uid = *Uid::parse(study);
  batch.opened_at = *from_rfc3339("2026-01-31T09:30:00Z") + opened;
  return batch;
}

std::string order_of(std::vector<Batch> batches) {
  put_in_fair_order(batches);
  std::string order;
  for (const Batch& batch : batches) order += batch.study_instance_uid.text() + " ";
  return order;
}

TEST(FairOrder, AStudyOfManyBatchesDoesNotHoldUpTheSmallOnes) {
  std::vector<Batch> batches;
  for (int i = 0; i < 4; ++i) batches.push_back(batch_of("1.1", Milliseconds(i)));
  batches.push_back(batch_of("1.2", 10s));
  batches.push_back(batch_of("1.3", 70s));

  EXPECT_EQ(order_of(batches), "1.1 1.2 1.1 1.3 1.1 1.1 ");
}

TEST(FairOrder, TurnsThatWereHadCount) {
  std::vector<Batch> batches{batch_of("1.1", 0s), batch_of("1.2", 50s), batch_of("1.3", 70s)};

  put_in_fair_order(batches, {{*Uid::parse("1.1"), 1}});

  EXPECT_EQ(batches[0].study_instance_uid.text(), "1.2");
  EXPECT_EQ(batches[1].study_instance_uid.text(), "1.1");
  EXPECT_EQ(batches[2].study_instance_uid.text(), "1.3");
}

TEST(FairOrder, NobodyIsPutOffForEver) {
  std::vector<Batch> batches{batch_of("1.1", 0s), batch_of("1.1", 0s)};
  for (int i = 2; i < 6; ++i) batches.push_back(batch_of("1." + std::to_string(i), i * 30s));

  EXPECT_EQ(order_of(batches), "1.1 1.1 1.2 1.3 1.4 1.5 ");
}

TEST(FairOrder, SharedBatchesStandForThemselves) {
  EXPECT_EQ(order_of({batch_of("", 0s), batch_of("", 1s), batch_of("1.1", 2s)}), "  1.1 ");
}

}  // namespace
}  // namespace isthmus::test
