#include "base/log_limit.h"

#include <gtest/gtest.h>

namespace isthmus {
namespace {

TEST(LogLimit, LetsSomeThroughAtOnceAndThenOneASecond) {
  LogLimit limit;
  SteadyTime now{Milliseconds(1'000'000)};
  for (int i = 0; i < LogLimit::kAtOnce; ++i) EXPECT_EQ(limit.admit(now), 0U);
  EXPECT_FALSE(limit.admit(now).has_value());
  EXPECT_FALSE(limit.admit(now + Milliseconds(999)).has_value());

  EXPECT_EQ(limit.admit(now + Milliseconds(1000)), 2U);
  EXPECT_FALSE(limit.admit(now + Milliseconds(1500)).has_value());
  EXPECT_EQ(limit.admit(now + Milliseconds(2000)), 1U);
}

TEST(LogLimit, IsGenerousAgainAfterAQuietTime) {
  LogLimit limit;
  SteadyTime now{Milliseconds(0)};
  while (limit.admit(now)) {
  }
  now += std::chrono::hours(1);
  for (int i = 0; i < LogLimit::kAtOnce; ++i) EXPECT_TRUE(limit.admit(now).has_value()) << i;
  EXPECT_FALSE(limit.admit(now).has_value());
}

}  // namespace
}  // namespace isthmus
