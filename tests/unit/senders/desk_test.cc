#include "senders/desk.h"

#include <gmock/gmock.h>

#include <cmath>

#include "senders/definition.h"
#include "support/matchers.h"
#include "support/memory_sender_rows.h"
#include "support/test_env.h"

namespace isthmus {
namespace {

using test::FailsWith;
using test::IsOk;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;

const std::string kPin(64, 'a');

class Desk : public testing::Test {
 protected:
  static SenderPolicy configured() {
    Sender ct;
    ct.name = "ct_1";
    ct.calling_ae_titles = {"CT_1"};
    SenderPolicy policy;
    policy.senders = {ct};
    return policy;
  }
  void was_refused(std::string title, std::string address) {
    RefusedSender one;
    one.calling_ae_title = std::move(title);
    one.peer_address = std::move(address);
    one.times = 1;
    ASSERT_THAT(rows_.remember({one}), IsOk());
  }
  static SenderOrder order(SenderOrder::Kind kind, std::string who) {
    SenderOrder order;
    order.kind = kind;
    order.who = std::move(who);
    return order;
  }
  static SenderOrder admit(std::string who) {
    return order(SenderOrder::Kind::admit, std::move(who));
  }
  SenderRefusal asks(std::string title, std::string address = "10.1.2.3") {
    return senders_.admit({std::move(title), "ISTHMUS", std::move(address), std::nullopt}).refusal;
  }

  test::TestEnv env_;
  test::MemorySenderRows rows_;
  Senders senders_{configured()};
  SenderDesk desk_{env_, rows_, &senders_, configured(), {"near", "far"}};
};

TEST_F(Desk, AdmitsWhoWasRefusedFromWhereItWasSeenAtOnce) {
  was_refused("MR 1", "10.1.2.3");

  ASSERT_OK_AND_ASSIGN(const std::string done, desk_.carry_out(admit("MR 1")));

  EXPECT_EQ(done, "mr-1 is admitted: AE title MR 1 from 10.1.2.3");
  EXPECT_EQ(asks("MR 1"), SenderRefusal::none);
  EXPECT_EQ(asks("MR 1", "10.1.2.4"), SenderRefusal::sender_address);
  EXPECT_THAT(rows_.refused().value(), IsEmpty());
}

TEST_F(Desk, WhatWasOrderedIsInForceAfterARestart) {
  SenderOrder wish = admit("MR_1");
  wish.from = {"10.1.0.0/16"};
  wish.destinations = {"far", "far"};
  wish.report_to = "mr.example:104";
  wish.report_tls = true;
  wish.sop_classes = {"images"};
  wish.report_tls_name = "inside.example";
  wish.report_tls_pin = kPin;
  wish.associations = 4;
  wish.instances_per_second = 2.5;
  wish.bytes_per_second = 1e6;
  ASSERT_THAT(desk_.carry_out(wish), IsOk());

  Senders later(configured());
  SenderDesk desk(env_, rows_, &later, configured(), {"near", "far"});
  ASSERT_THAT(desk.load(), IsOk());

  const auto sender = later.find("mr_1");
  ASSERT_TRUE(sender);
  EXPECT_THAT(sender->destinations, Optional(ElementsAre("far")));
  EXPECT_EQ(sender->report_to, (ReportAddress{"mr.example", 104, true, "inside.example", kPin}));
  EXPECT_EQ(sender->limits, (SenderLimits{4, 2.5, 1e6}));
  EXPECT_THAT(sender->sop_classes, ElementsAre("images"));
}

TEST_F(Desk, ALimitStaysUntilItIsTakenAway) {
  SenderOrder wish = admit("MR_1");
  wish.from = {"any"};
  wish.instances_per_second = 2.5;
  wish.associations = 4;
  ASSERT_THAT(desk_.carry_out(wish), IsOk());
  SenderOrder again = admit("mr_1");
  again.associations = 0;

  ASSERT_THAT(desk_.carry_out(again), IsOk());

  EXPECT_EQ(senders_.find("mr_1")->limits, (SenderLimits{0, 2.5, 0}));
}

TEST_F(Desk, ATitleSeenAtSeveralAddressesIsNotGuessed) {
  was_refused("MR_1", "10.1.2.3");
  was_refused("MR_1", "10.6.6.6");

  EXPECT_THAT(desk_.carry_out(admit("MR_1")), FailsWith("sender.ambiguous"));

  SenderOrder wish = admit("MR_1");
  wish.from = {"10.1.2.3"};
  ASSERT_THAT(desk_.carry_out(wish), IsOk());
  ASSERT_EQ(rows_.refused()->size(), 1u);
  EXPECT_EQ(rows_.refused()->front().peer_address, "10.6.6.6");
}

TEST_F(Desk, WhoWasNeverSeenIsAdmittedOnlyWithAnAddress) {
  EXPECT_THAT(desk_.carry_out(admit("US_1")), FailsWith("sender.unknown"));

  SenderOrder wish = admit("US_1");
  wish.from = {"any"};
  ASSERT_THAT(desk_.carry_out(wish), IsOk());
  EXPECT_EQ(asks("US_1", "203.0.113.9"), SenderRefusal::none);
}

TEST_F(Desk, BlocksAndLetsInAgainByName) {
  SenderOrder wish = admit("MR_1");
  wish.from = {"any"};
  ASSERT_THAT(desk_.carry_out(wish), IsOk());

  ASSERT_THAT(desk_.carry_out(order(SenderOrder::Kind::block, "mr_1")), IsOk());
  EXPECT_EQ(asks("MR_1"), SenderRefusal::sender_blocked);
  ASSERT_THAT(desk_.carry_out(admit("mr_1")), IsOk());
  EXPECT_EQ(asks("MR_1"), SenderRefusal::none);
}

TEST_F(Desk, ABlockedStrangerIsForgottenAndRefused) {
  was_refused("ROGUE", "10.6.6.6");

  ASSERT_OK_AND_ASSIGN(const std::string done,
                       desk_.carry_out(order(SenderOrder::Kind::block, "ROGUE")));

  EXPECT_THAT(done, HasSubstr("from anywhere"));
  EXPECT_EQ(asks("ROGUE"), SenderRefusal::sender_blocked);
  EXPECT_THAT(rows_.refused().value(), IsEmpty());
}

TEST_F(Desk, RemovesByNameAndForgetsByTitle) {
  was_refused("US_1", "10.1.2.3");
  SenderOrder wish = admit("MR_1");
  wish.from = {"any"};
  ASSERT_THAT(desk_.carry_out(wish), IsOk());

  ASSERT_THAT(desk_.carry_out(order(SenderOrder::Kind::remove, "mr_1")), IsOk());
  EXPECT_EQ(asks("MR_1"), SenderRefusal::unknown_sender);
  ASSERT_THAT(desk_.carry_out(order(SenderOrder::Kind::remove, "US_1")), IsOk());
  EXPECT_THAT(rows_.refused().value(), IsEmpty());
  EXPECT_THAT(desk_.carry_out(order(SenderOrder::Kind::remove, "US_1")),
              FailsWith("sender.unknown"));
}

TEST_F(Desk, WhatTheConfigurationHasIsChangedThere) {
  SenderOrder wish = admit("CT_1");
  wish.from = {"any"};

  EXPECT_THAT(desk_.carry_out(wish), FailsWith("sender.configured"));
  EXPECT_THAT(desk_.carry_out(order(SenderOrder::Kind::remove, "ct_1")),
              FailsWith("sender.configured"));
  wish.name = "second-ct";
  EXPECT_THAT(desk_.carry_out(wish), IsOk());
}

TEST_F(Desk, ACallerOfStowMayHaveALongerNameThanAnAeTitle) {
  SenderOrder wish = admit("reading-room.workstation-7@example");
  wish.from = {"any"};
  wish.name = "reading-room";

  EXPECT_THAT(desk_.carry_out(wish), IsOk());
}

TEST_F(Desk, RefusesOrdersThatMakeNoSense) {
  const auto refuses = [&](auto change) {
    SenderOrder wish = admit("MR_1");
    wish.from = {"any"};
    change(wish);
    EXPECT_THAT(desk_.carry_out(wish), FailsWith("sender.bad_order"));
  };

  refuses([](SenderOrder& o) { o.who = std::string(65, 'A'); });
  refuses([](SenderOrder& o) { o.who = "A\\B"; });
  refuses([](SenderOrder& o) { o.name = "No Good"; });
  refuses([](SenderOrder& o) { o.from = {"10.0.0.1/8"}; });
  refuses([](SenderOrder& o) { o.called = {" X"}; });
  refuses([](SenderOrder& o) { o.called = {"SEVENTEEN_LETTERS"}; });
  refuses([](SenderOrder& o) { o.sop_classes = {"pictures"}; });
  refuses([](SenderOrder& o) { o.destinations = {"nowhere"}; });
  refuses([](SenderOrder& o) { o.report_to = "mr"; });
  refuses([](SenderOrder& o) { o.associations = 1.5; });
  refuses([](SenderOrder& o) { o.associations = 1e6; });
  refuses([](SenderOrder& o) { o.instances_per_second = -1; });
  refuses([](SenderOrder& o) { o.bytes_per_second = std::nan(""); });
  refuses([](SenderOrder& o) { o.report_tls_pin = kPin; });
  refuses([](SenderOrder& o) {
    o.report_to = "mr:104";
    o.report_tls = true;
    o.report_tls_pin = "abc";
  });
  refuses([](SenderOrder& o) { o.tls_identities = {"a\nb"}; });
  EXPECT_THAT(rows_.senders().value(), IsEmpty());
}

TEST_F(Desk, ARowThatCannotBeReadIsNotLetInAndStopsNobodyElse) {
  ASSERT_THAT(rows_.put({"odd", false, "colour red\n", env_.clock.wall_now()}), IsOk());
  ASSERT_THAT(rows_.put({"mr", false, "calling_ae_title MR_1\n", env_.clock.wall_now()}), IsOk());

  ASSERT_THAT(desk_.load(), IsOk());

  EXPECT_EQ(asks("MR_1"), SenderRefusal::none);
  EXPECT_EQ(senders_.find("odd"), std::nullopt);
}

TEST(SenderName, IsMadeOfTheTitle) {
  EXPECT_EQ(sender_name_of("CT_1"), "ct_1");
  EXPECT_EQ(sender_name_of("CT 1/A"), "ct-1-a");
}

}  // namespace
}  // namespace isthmus
