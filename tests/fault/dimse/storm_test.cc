// Thirty-two associations at once that store, echo, abort and vanish by turns: what the thread
// sanitizer is to look at (`./dev test --all`), and that every answered instance is there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "support/matchers.h"
#include "support/receiver_under_test.h"

namespace isthmus::test {
namespace {

const std::string kCt(kCtImageStorage);
constexpr int kAssociations = 32;
constexpr int kRounds = kSanitized ? 4 : 12;

class Sender {
 public:
  Sender(ReceiverUnderTest& under_test, int number) : under_test_(under_test), number_(number) {}

  void run() {
    for (int round = 0; round < kRounds; ++round) {
      auto scu = under_test_.associate(request_for(kCt, kExplicitLittle));
      if (!scu.ok()) {
        ++failures;
        continue;
      }
      store(**scu, 2 * round);
      const auto echo = (*scu)->echo(1);
      if (!echo.ok() || echo->status != 0) ++failures;
      store(**scu, 2 * round + 1);
      end(**scu, round);
    }
  }

  std::atomic<int> failures{0};
  std::vector<std::string> stored;

 private:
  void store(RawScu& scu, int index) {
    DicomRecipe recipe;
    recipe.sop_instance_uid += "." + std::to_string(number_) + "." + std::to_string(index);
    const auto response = scu.store(3, kCt, recipe.sop_instance_uid, make_dataset(recipe));
    if (!response.ok() || response->status != 0) {
      ++failures;
    } else {
      stored.push_back(recipe.sop_instance_uid);
    }
  }

  // By turns: a release, an abort, an abort in mid-store, and gone without a word in mid-store.
  void end(RawScu& scu, int round) {
    const int how = (number_ + round) % 4;
    if (how == 0) {
      if (!scu.release().ok()) ++failures;
      return;
    }
    if (how >= 2) {
      DicomRecipe recipe;
      ignore(scu.send_command(3, c_store_command(99, kCt, recipe.sop_instance_uid)), "it ends");
      ignore(scu.send_data(3, make_dataset(recipe).substr(0, 1000), false), "it ends");
    }
    if (how != 3) ignore(scu.socket().send(raw_abort()), "it ends");
  }

  ReceiverUnderTest& under_test_;
  const int number_;
};

TEST(Storm, ThirtyTwoAssociationsStoreEchoAndAbortAtOnce) {
  DimseOptions options;
  // An association that was aborted is gone only when its thread saw it.
  options.max_associations = 4 * kAssociations;
  AdmissionOptions marks;
  marks.reserve_bytes = marks.resume_bytes = 0;  // however full this disk is
  ReceiverUnderTest under_test(options, open_policy(), marks);
  std::vector<std::unique_ptr<Sender>> senders;
  for (int i = 0; i < kAssociations; ++i) {
    senders.push_back(std::make_unique<Sender>(under_test, i));
  }
  std::atomic<bool> over{false};
  // Meanwhile what housekeeping and a scrape do.
  std::thread housekeeper([&] {
    while (!over) {
      under_test.admission.refresh();
      (void)under_test.env.metrics->text();
      std::this_thread::yield();
    }
  });

  std::vector<std::thread> threads;
  for (auto& sender : senders) threads.emplace_back([&sender] { sender->run(); });
  for (auto& thread : threads) thread.join();
  over = true;
  housekeeper.join();

  EXPECT_TRUE(under_test.becomes_idle());
  EXPECT_EQ(under_test.spool.under_way(), 0U);
  std::size_t answered = 0;
  for (const auto& sender : senders) {
    EXPECT_EQ(sender->failures.load(), 0);
    for (const auto& uid : sender->stored) EXPECT_TRUE(under_test.spool.instance(uid)) << uid;
    answered += sender->stored.size();
  }
  EXPECT_EQ(answered, static_cast<std::size_t>(2 * kAssociations * kRounds));
  EXPECT_EQ(under_test.spool.instances().size(), answered);
  EXPECT_TRUE(under_test.env.fatals().empty());
}

}  // namespace
}  // namespace isthmus::test
