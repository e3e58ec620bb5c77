#include <gtest/gtest.h>

#include "pipeline/step.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

// Always the same bits: the dice at their highest or lowest.
class ConstantEntropy : public Entropy {
 public:
  explicit ConstantEntropy(std::byte value) : value_(value) {}
  void fill(MutableByteSpan into) override {
    for (std::byte& b : into) b = value_;
  }

 private:
  const std::byte value_;
};

TEST(Backoff, DoublesItsLimitWithEachAttempt) {
  ConstantEntropy highest(std::byte{0xFF});
  const Backoff backoff{Milliseconds{1000}, Milliseconds{300'000}};

  EXPECT_NEAR(static_cast<double>(backoff.delay(1, highest).count()), 1000, 2);
  EXPECT_NEAR(static_cast<double>(backoff.delay(2, highest).count()), 2000, 2);
  EXPECT_NEAR(static_cast<double>(backoff.delay(5, highest).count()), 16'000, 2);
}

TEST(Backoff, IsNeverLongerThanTheLongest) {
  ConstantEntropy highest(std::byte{0xFF});
  const Backoff backoff{Milliseconds{1000}, Milliseconds{300'000}};

  EXPECT_LE(backoff.delay(10, highest), Milliseconds{300'000});
  EXPECT_GT(backoff.delay(10, highest), Milliseconds{299'000});
  EXPECT_LE(backoff.delay(1'000'000'000, highest), Milliseconds{300'000});
  EXPECT_GT(backoff.delay(1'000'000'000, highest), Milliseconds{299'000});
}

TEST(Backoff, IsAtLeastFiftyMilliseconds) {
  ConstantEntropy lowest(std::byte{0});

  EXPECT_EQ(Backoff{}.delay(1, lowest), Milliseconds{50});
  EXPECT_EQ(Backoff{}.delay(30, lowest), Milliseconds{50});
  EXPECT_EQ((Backoff{Milliseconds{0}, Milliseconds{0}}.delay(3, lowest)), Milliseconds{50});
}

TEST(Backoff, SpreadsOverTheWholeRange) {
  SeededEntropy entropy(7);
  const Backoff backoff{Milliseconds{1000}, Milliseconds{300'000}};
  int low = 0;
  int high = 0;

  for (int i = 0; i < 1000; ++i) {
    const Milliseconds delay = backoff.delay(4, entropy);
    ASSERT_LE(delay, Milliseconds{8000});
    low += delay < Milliseconds{2000} ? 1 : 0;
    high += delay > Milliseconds{6000} ? 1 : 0;
  }

  EXPECT_NEAR(low, 250, 60);
  EXPECT_NEAR(high, 250, 60);
}

}  // namespace
}  // namespace isthmus::test
