#include "plugin/commitment.h"

#include <gmock/gmock.h>

#include "support/matchers.h"
#include "support/memory_ledger.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

using plugin::CommitmentHandler;
using plugin::Standing;
using plugin::standing_of;

constexpr const char* kCt = "1.2.840.10008.5.1.4.1.1.2";

InstanceView held(std::initializer_list<std::pair<const char*, DeliveryState>> deliveries,
                  const char* sop_class = kCt) {
  InstanceView view;
  view.instance.sop_class_uid = *Uid::parse(sop_class);
  for (const auto& [destination, state] : deliveries) {
    Delivery delivery;
    delivery.destination = destination;
    delivery.state = state;
    view.deliveries.push_back(delivery);
  }
  return view;
}

Standing of(std::vector<InstanceView> views, std::optional<CommitmentLevel> of_sender = {}) {
  const CommitmentLevels levels{{"b", CommitmentLevel::staged}};
  return standing_of(views, kCt, levels, of_sender);
}

TEST(StandingOf, CommittedIsWhatEveryDestinationHasAsFarAsItMust) {
  EXPECT_EQ(of({held({{"a", DeliveryState::imported}})}), Standing::committed);
  EXPECT_EQ(of({held({{"a", DeliveryState::imported}, {"b", DeliveryState::staged}})}),
            Standing::committed);
  EXPECT_EQ(of({held({{"a", DeliveryState::staged}, {"b", DeliveryState::imported}})}),
            Standing::on_way);
  EXPECT_EQ(of({held({{"a", DeliveryState::waiting}})}, CommitmentLevel::spooled),
            Standing::committed);
  EXPECT_EQ(of({held({{"b", DeliveryState::staged}})}, CommitmentLevel::imported),
            Standing::on_way);
}

TEST(StandingOf, AllCopiesUnderOneUidHaveToBeSafe) {
  EXPECT_EQ(of({held({{"a", DeliveryState::imported}}), held({{"a", DeliveryState::staged}})}),
            Standing::on_way);
  EXPECT_EQ(of({held({{"a", DeliveryState::imported}}), held({{"a", DeliveryState::rejected}})}),
            Standing::failing);
}

TEST(StandingOf, SaysWhyNot) {
  EXPECT_EQ(of({}), Standing::unknown);
  // A Modality Performed Procedure Step.
  EXPECT_EQ(standing_of({}, "1.2.840.10008.3.1.2.3.3", {}, {}), Standing::not_storage);
  EXPECT_EQ(of({held({{"a", DeliveryState::imported}}, "1.2.840.10008.5.1.4.1.1.4")}),
            Standing::other_class);
  EXPECT_EQ(of({held({{"a", DeliveryState::quarantined}})}), Standing::failing);
  EXPECT_EQ(of({held({})}), Standing::homeless);
  EXPECT_EQ(of({held({})}, CommitmentLevel::spooled), Standing::committed);
  EXPECT_EQ(of({held({{"a", DeliveryState::waiting}, {"b", DeliveryState::rejected}})}),
            Standing::on_way);
}

TEST(CommitmentHandlerTest, WaitsForWhatIsOnItsWayAndNoLonger) {
  TestEnv env;
  MemoryLedger ledger(env, {"cloud"});
  const std::atomic<bool> stopping{false};
  CommitmentHandler handler({env, ledger, {}, {}, Milliseconds{2'000}, stopping});
  const SteadyTime begun = env.clock.steady_now();

  ASSERT_OK_AND_ASSIGN(const Standing first, handler.look_up(kCt, "1.2.3"));
  const SteadyTime until = env.clock.steady_now();
  ASSERT_OK_AND_ASSIGN(const Standing second, handler.look_up(kCt, "1.2.4"));

  EXPECT_EQ(first, Standing::unknown);
  EXPECT_EQ(second, Standing::unknown);
  EXPECT_GE(until - begun, Milliseconds{2'000});
  EXPECT_EQ(env.clock.steady_now(), until) << "the time is that of the whole request";
}

TEST(CommitmentHandlerTest, DoesNotWaitWhenOrthancStops) {
  TestEnv env;
  MemoryLedger ledger(env, {"cloud"});
  const std::atomic<bool> stopping{true};
  CommitmentHandler handler({env, ledger, {}, {}, Milliseconds{60'000}, stopping});
  const SteadyTime begun = env.clock.steady_now();

  EXPECT_EQ(handler.look_up(kCt, "1.2.3").value(), Standing::unknown);
  EXPECT_EQ(env.clock.steady_now(), begun);
}

}  // namespace
}  // namespace isthmus::test
