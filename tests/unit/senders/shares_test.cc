#include "senders/shares.h"

#include <gmock/gmock.h>

#include <vector>

#include "support/test_env.h"

namespace isthmus {
namespace {

SteadyTime at(std::int64_t milliseconds) {
  return SteadyTime(Milliseconds(1'000'000 + milliseconds));
}

TEST(TokenBucket, LetsASecondsWorthThroughAtOnceThenTheRate) {
  TokenBucket bucket(100);

  EXPECT_EQ(bucket.take(at(0), 100), Milliseconds(0));
  EXPECT_EQ(bucket.take(at(0), 50), Milliseconds(500));
  EXPECT_EQ(bucket.take(at(500), 0), Milliseconds(0));
  EXPECT_EQ(bucket.take(at(600), 10), Milliseconds(0));
}

TEST(TokenBucket, SavesNoMoreThanASecondsWorth) {
  TokenBucket bucket(100);

  EXPECT_EQ(bucket.take(at(0), 0), Milliseconds(0));
  EXPECT_EQ(bucket.take(at(60'000), 200), Milliseconds(1000));
}

TEST(TokenBucket, WithoutARateNobodyWaits) {
  TokenBucket bucket(0);

  EXPECT_EQ(bucket.take(at(0), 1e18), Milliseconds(0));
}

TEST(JudgeShare, EachLimitHasItsName) {
  EXPECT_EQ(judge_share({.total = 64}), ShareRefusal::none);
  EXPECT_EQ(judge_share({.total = 64, .open = 64}), ShareRefusal::max_associations);
  EXPECT_EQ(judge_share({.total = 64, .open = 4, .open_of_sender = 4, .limit_of_sender = 4}),
            ShareRefusal::sender_associations);
  EXPECT_EQ(judge_share({.total = 64, .open = 56, .open_of_sender = 56, .has_others = true}),
            ShareRefusal::sender_share);
}

TEST(JudgeShare, TheReserveIsForThoseThatHoldFew) {
  ShareState state{.total = 64, .open = 56, .open_of_sender = 0, .has_others = true};
  EXPECT_EQ(judge_share(state), ShareRefusal::none);
  state.open_of_sender = 1;
  EXPECT_EQ(judge_share(state), ShareRefusal::none);
  state.open_of_sender = 2;
  EXPECT_EQ(judge_share(state), ShareRefusal::sender_share);
}

TEST(JudgeShare, WhoIsAloneMayHaveAll) {
  EXPECT_EQ(judge_share({.total = 64, .open = 63, .open_of_sender = 63}), ShareRefusal::none);
}

TEST(JudgeShare, SmallTotalsKeepNothingBack) {
  EXPECT_EQ(judge_share({.total = 2, .open = 1, .open_of_sender = 1, .has_others = true}),
            ShareRefusal::none);
}

class Shares : public testing::Test {
 protected:
  static Sender named(std::string name) {
    Sender sender;
    sender.name = std::move(name);
    return sender;
  }
  SenderShares::Answer open(const Sender& sender, std::string title = "CT_1") {
    return shares_.open(sender, {std::move(title), "ISTHMUS", "10.1.2.3", std::nullopt});
  }
  double held(const std::string& label) {
    return env_.metrics->gauge("senders_associations", "", {{"sender", label}}).value();
  }

  test::TestEnv env_;
  Senders senders_{SenderPolicy{}};
  SenderShares shares_{env_, senders_, 16};
};

TEST_F(Shares, APlaceIsGivenBackWhenItIsDestroyed) {
  {
    const auto place = open(named("ct"));
    EXPECT_EQ(place.refusal, ShareRefusal::none);
    EXPECT_EQ(shares_.total_open(), 1u);
    EXPECT_EQ(held("ct"), 1);
  }
  EXPECT_EQ(shares_.total_open(), 0u);
  EXPECT_EQ(held("ct"), 0);
}

TEST_F(Shares, ASendersOwnLimitIsForAllWaysInTogether) {
  SenderCounts counts;
  SenderShares associations(env_, senders_, 16, &counts);
  SenderShares requests(env_, senders_, 16, &counts);
  Sender two = named("two");
  two.limits.associations = 2;
  const SenderRequest asked{"CT_1", "ISTHMUS", "10.1.2.3", std::nullopt};
  auto first = associations.open(two, asked);
  const auto second = requests.open(two, asked);
  ASSERT_EQ(second.refusal, ShareRefusal::none);

  EXPECT_EQ(associations.open(two, asked).refusal, ShareRefusal::sender_associations);
  EXPECT_EQ(requests.open(two, asked).refusal, ShareRefusal::sender_associations);
  EXPECT_EQ(requests.open(named("other"), asked).refusal, ShareRefusal::none);

  first.place = SenderShares::Place();
  EXPECT_EQ(requests.open(two, asked).refusal, ShareRefusal::none);
}

TEST_F(Shares, AFloodDoesNotTakeTheLastPlaces) {
  std::vector<SenderShares::Answer> places;
  const auto quiet = open(named("quiet"));
  for (int i = 0; i < 20; ++i) {
    auto answer = open(named("flood"));
    if (answer.refusal == ShareRefusal::none) places.push_back(std::move(answer));
  }

  EXPECT_EQ(places.size(), 13u);  // of 16, one is taken and two are kept
  EXPECT_EQ(open(named("flood")).refusal, ShareRefusal::sender_share);
  EXPECT_EQ(open(named("late")).refusal, ShareRefusal::none);
  EXPECT_EQ(
      env_.metrics
          ->counter("senders_limited_total", "", {{"sender", "flood"}, {"limit", "sender_share"}})
          .value(),
      8);
}

TEST_F(Shares, StrangersAreToldApartButShareALabel) {
  std::vector<SenderShares::Answer> places;
  for (int i = 0; i < 16; ++i) places.push_back(open(Sender{}, "AE" + std::to_string(i)));

  EXPECT_EQ(shares_.total_open(), 16u);
  EXPECT_EQ(held("other"), 16);
  EXPECT_EQ(open(Sender{}, "LAST").refusal, ShareRefusal::max_associations);
}

TEST_F(Shares, AllAssociationsOfASenderShareItsRate) {
  Sender slow = named("slow");
  slow.limits = {0, 0, 1000};
  auto first = open(slow);
  auto second = open(slow);

  EXPECT_EQ(first.place.pace_bytes(1000), Milliseconds(0));
  EXPECT_EQ(second.place.pace_bytes(500), Milliseconds(500));
  EXPECT_EQ(first.place.pace_bytes(500), Milliseconds(1000));
  EXPECT_EQ(first.place.pace_instance(), Milliseconds(0));
}

TEST_F(Shares, WhoComesAgainDoesNotBeginWithAFullBucket) {
  Sender slow = named("slow");
  slow.limits = {0, 10, 0};
  {
    auto first = open(slow);
    EXPECT_EQ(first.place.pace_instance(), Milliseconds(0));
    for (int i = 0; i < 9; ++i) first.place.pace_instance();
  }

  auto again = open(slow);

  EXPECT_EQ(again.place.pace_instance(), Milliseconds(100));
}

}  // namespace
}  // namespace isthmus
