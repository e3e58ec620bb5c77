#include "base/env.h"

#include <gtest/gtest.h>

#include "base/ids.h"
#include "support/test_env.h"

namespace isthmus {
namespace {

TEST(WallTime, Rfc3339GoesBothWays) {
  const auto time = from_rfc3339("2024-02-29T23:59:59.125Z");

  ASSERT_TRUE(time.has_value());
  EXPECT_EQ(to_rfc3339(*time), "2024-02-29T23:59:59.125Z");
}

TEST(WallTime, RefusesWhatIsNotADate) {
  for (const auto* text : {"2023-02-29T00:00:00Z", "2024-02-29", "2024-02-29T00:00:00", "x"}) {
    EXPECT_FALSE(from_rfc3339(text).has_value()) << text;
  }
}

TEST(Id, IsTimeOrderedAndParsesBack) {
  test::TestEnv env;
  const auto first = InstanceId::make(env);
  env.clock.advance(Milliseconds(1));
  const auto second = InstanceId::make(env);

  EXPECT_LT(first, second);
  EXPECT_EQ(InstanceId::parse(first.text()), first);
  EXPECT_FALSE(InstanceId::parse("../../etc/passwd").has_value());
}

TEST(Entropy, UnitRandomStaysInItsRange) {
  test::SeededEntropy entropy(7);
  for (int i = 0; i < 1000; ++i) {
    const double value = unit_random(entropy);
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
  }
}

}  // namespace
}  // namespace isthmus
