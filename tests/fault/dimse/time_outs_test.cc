// Nobody holds a thread for longer than the settings say, however it goes about it: silent, slow to
// write, slow to read, or steady for ever. receiver_test.cc has those who say nothing at all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "support/matchers.h"
#include "support/receiver_under_test.h"

namespace isthmus::test {
namespace {

const std::string kCt(kCtImageStorage);
constexpr Milliseconds kGenerous{60'000};

// Everything generous, so that only what a test sets can be the reason.
DimseOptions patient() {
  DimseOptions options;
  options.artim_timeout = options.idle_timeout = options.pdu_timeout = kGenerous;
  return options;
}

// Sends one byte after the other until the receiver has closed; false when it never does.
bool trickle(RawSocket& socket, const std::string& bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (!socket.send(bytes.substr(i, 1)).ok()) return true;
    if (socket.is_closed_within(Milliseconds(20))) return true;
  }
  return false;
}

TEST(TimeOuts, ArtimCountsForTheWholeRequestHoweverSteadilyItComes) {
  DimseOptions options = patient();
  options.artim_timeout = Milliseconds(400);
  ReceiverUnderTest under_test(options);
  ASSERT_OK_AND_ASSIGN(auto socket, RawSocket::connect("127.0.0.1", under_test.port()));

  EXPECT_TRUE(trickle(*socket, raw_associate_rq(request_for(kCt, kExplicitLittle))));

  EXPECT_EQ(under_test.refused("artim"), 1);
}

TEST(TimeOuts, APduHasItsTimeHoweverSteadilyItComes) {
  DimseOptions options = patient();
  options.pdu_timeout = Milliseconds(400);
  ReceiverUnderTest under_test(options);
  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));

  EXPECT_TRUE(trickle(scu->socket(), raw_data_pdu(1, true, true, raw_command(c_echo_command(1)))));

  EXPECT_TRUE(under_test.becomes_idle());
  EXPECT_EQ(under_test.refused("pdu_timeout"), 1);
}

TEST(TimeOuts, AMessageHasItsTimeHoweverSteadilyItComes) {
  DimseOptions options = patient();
  options.message_timeout = Milliseconds(600);
  ReceiverUnderTest under_test(options);
  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));
  DicomRecipe recipe;
  ASSERT_THAT(scu->send_command(3, c_store_command(1, kCt, recipe.sop_instance_uid)), IsOk());
  ASSERT_THAT(scu->send_data(3, make_dataset(recipe), false), IsOk());

  bool ended = false;
  for (int i = 0; i < 1000 && !ended; ++i) {  // 4 KB every 10 ms is not slow
    ended = !scu->send_data(3, std::string(4096, 'p'), false).ok() ||
            scu->socket().is_closed_within(Milliseconds(10));
  }

  EXPECT_TRUE(ended);
  EXPECT_TRUE(under_test.becomes_idle());
  EXPECT_EQ(under_test.refused("message_timeout"), 1);
  EXPECT_EQ(under_test.spool.under_way(), 0U);
  EXPECT_TRUE(under_test.spool.instances().empty());
}

TEST(TimeOuts, ASilentMessageEndsWithItsOwnTimeEvenWhenAPduMayTakeLonger) {
  DimseOptions options = patient();
  options.message_timeout = Milliseconds(300);
  ReceiverUnderTest under_test(options);
  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));
  ASSERT_THAT(scu->send_command(3, c_store_command(1, kCt, "1.2.3")), IsOk());

  EXPECT_TRUE(scu->socket().is_closed_within(Milliseconds(5000)));

  EXPECT_EQ(under_test.refused("message_timeout"), 1);
}

TEST(TimeOuts, AnAssociationEndsHoweverBusyItIs) {
  DimseOptions options = patient();
  options.association_timeout = Milliseconds(500);
  ReceiverUnderTest under_test(options);
  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));

  int answered = 0;
  while (answered < 1'000'000 && scu->echo(1).ok()) ++answered;

  EXPECT_GT(answered, 0);
  EXPECT_TRUE(under_test.becomes_idle());
  EXPECT_EQ(under_test.refused("association_timeout"), 1);
}

TEST(TimeOuts, AnIdleAssociationEndsWithItsTimeToo) {
  DimseOptions options = patient();
  options.association_timeout = Milliseconds(300);
  ReceiverUnderTest under_test(options);
  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));

  EXPECT_TRUE(scu->socket().is_closed_within(Milliseconds(5000)));

  EXPECT_EQ(under_test.refused("association_timeout"), 1);
}

TEST(TimeOuts, TheMessageUnderWayIsAnsweredBeforeItsAssociationEnds) {
  DimseOptions options = patient();
  options.association_timeout = Milliseconds(300);
  ReceiverUnderTest under_test(options);
  under_test.spool.close_gate();
  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));
  DicomRecipe recipe;
  ASSERT_THAT(scu->send_command(3, c_store_command(1, kCt, recipe.sop_instance_uid)), IsOk());
  ASSERT_THAT(scu->send_data(3, make_dataset(recipe), true), IsOk());
  under_test.spool.wait_for_commits_at_gate(1);
  under_test.env.env().clock.sleep_for(Milliseconds(400));  // the association is too old by now

  under_test.spool.open_gate();

  ASSERT_OK_AND_ASSIGN(const auto response, scu->receive_response());
  EXPECT_EQ(response.status, 0);
  EXPECT_TRUE(scu->socket().is_closed_within(Milliseconds(5000)));
  EXPECT_EQ(under_test.refused("association_timeout"), 1);
}

// It asks and asks, and never reads what it is answered.
TEST(TimeOuts, APeerThatDoesNotReadLosesItsThread) {
  DimseOptions options = patient();
  options.pdu_timeout = Milliseconds(500);
  ReceiverUnderTest under_test(options);
  ASSERT_OK_AND_ASSIGN(auto scu, under_test.associate(request_for(kCt, kExplicitLittle)));
  std::string asking;
  for (int i = 0; i < 100; ++i) {
    asking += raw_data_pdu(1, true, true, raw_command(c_echo_command(1)));
  }

  std::atomic<bool> ended{false};
  std::thread sender([&] {
    for (int i = 0; i < 10'000 && !ended; ++i) ended = !scu->socket().send(asking).ok();
  });
  for (int i = 0; i < 3000 && under_test.refused("peer_does_not_read") == 0; ++i) {
    under_test.env.env().clock.sleep_for(Milliseconds(10));
  }

  EXPECT_EQ(under_test.refused("peer_does_not_read"), 1);
  EXPECT_TRUE(under_test.becomes_idle());
  under_test.receiver->stop();  // its socket is closed, so the sender's next bytes are refused
  sender.join();
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace isthmus::test
