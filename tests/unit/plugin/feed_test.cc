#include "plugin/feed.h"

#include <gmock/gmock.h>

#include "support/matchers.h"
#include "support/memory_ledger.h"
#include "support/test_env.h"
#include "unit/plugin/fake_archive.h"

namespace isthmus::test {
namespace {

using plugin::Existing;
using plugin::Feed;
using plugin::FeedOptions;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

class FeedTest : public testing::Test {
 protected:
  FeedTest() { options_.existing_per_second = 0; }
  // As at the start of the plugin: what was in memory is gone, marks stay.
  void start() {
    feed_ = std::make_unique<Feed>(
        env_, archive_, ledger_.receiver_rows(),
        [this](const Origin& origin, ByteSpan file) -> Result<Receipt> {
          if (refuse_) return *refuse_;
          taken_.emplace_back(as_text(file));
          EXPECT_EQ(origin.receiver, "orthanc");
          EXPECT_EQ(origin.calling_ae_title, "CT1");
          return Receipt{InstanceId::make(env_), false};
        },
        options_);
  }
  // Until nothing is to be done for a while; gives how long.
  Milliseconds run() {
    for (int i = 0; i < 1'000; ++i) {
      const Milliseconds wait = feed_->run_once();
      if (wait > Milliseconds{0}) return wait;
    }
    ADD_FAILURE() << "it does not come to an end";
    return {};
  }
  std::vector<UntakenInstance> untaken() { return ledger_.receiver_rows().untaken(10).value(); }

  TestEnv env_;
  MemoryLedger ledger_{env_, {"cloud"}};
  FakeArchive archive_;
  FeedOptions options_;
  std::optional<Error> refuse_;
  std::vector<std::string> taken_;
  std::unique_ptr<Feed> feed_;
};

TEST_F(FeedTest, WhatTheCallbackTookIsNotFetched) {
  start();
  run();
  archive_.store(1, "one");
  feed_->taken(FakeArchive::id(1));

  run();

  EXPECT_THAT(taken_, IsEmpty());
  EXPECT_EQ(archive_.fetched(1), 0);
  EXPECT_EQ(feed_->status().position, archive_.last());
}

TEST_F(FeedTest, WhatTheCallbackDidNotTakeIsFetchedAfterItsGrace) {
  start();
  run();
  archive_.store(1, "one");

  run();
  EXPECT_THAT(taken_, IsEmpty());
  env_.clock.advance(options_.grace);
  run();

  EXPECT_THAT(taken_, ElementsAre("one"));
  EXPECT_EQ(feed_->status().position, archive_.last());
}

TEST_F(FeedTest, WhatCameWhileThePluginWasOffIsFetchedAtOnce) {
  start();
  run();
  feed_.reset();
  for (int i = 0; i < 1'200; ++i) archive_.store(i, std::to_string(i));

  start();
  run();

  EXPECT_THAT(taken_, SizeIs(1'200));
}

TEST_F(FeedTest, TheFirstStartTakesNothingOfBefore) {
  archive_.store(1, "one");
  start();
  run();
  feed_.reset();
  start();
  run();

  EXPECT_THAT(taken_, IsEmpty());
}

TEST_F(FeedTest, AFullSpoolKeepsItsPlaceAndGoesOnWhenThereIsSpace) {
  start();
  run();
  feed_.reset();
  archive_.store(1, "one");
  archive_.store(2, "two");
  refuse_ = transient_error("spool.full", "The disk is full.");
  start();

  EXPECT_GE(run(), Milliseconds{200});
  EXPECT_LT(feed_->status().position, 1);
  EXPECT_THAT(untaken(), IsEmpty());
  refuse_.reset();
  run();

  EXPECT_THAT(taken_, ElementsAre("one", "two"));
}

TEST_F(FeedTest, WhatCanNeverBeTakenIsPutAsideForAPersonAndTriedAtTheNextStart) {
  start();
  run();
  feed_.reset();
  archive_.store(1, "one");
  refuse_ = permanent_error("dicom.unreadable", "It is not readable.");
  start();
  run();

  ASSERT_THAT(untaken(), SizeIs(1));
  EXPECT_EQ(untaken().front().archive_id, FakeArchive::id(1));
  EXPECT_EQ(untaken().front().code, "dicom.unreadable");
  EXPECT_EQ(feed_->status().position, archive_.last());
  feed_.reset();
  refuse_.reset();
  start();
  run();

  EXPECT_THAT(untaken(), IsEmpty());
  EXPECT_THAT(taken_, testing::Contains("one"));  // and again by the feed: the note was behind
}

TEST_F(FeedTest, AnInstanceThatOrthancCannotReadDoesNotKeepOthersBackForEver) {
  start();
  run();
  feed_.reset();
  archive_.store(1, "one");
  archive_.store(2, "two");
  archive_.hook = [](const std::string& path) -> std::optional<Error> {
    if (path != "/instances/" + FakeArchive::id(1) + "/file") return std::nullopt;
    return transient_error("orthanc.failed", "Its storage is damaged.");
  };
  start();
  for (int i = 0; i < 6; ++i) run();

  EXPECT_THAT(taken_, ElementsAre("two"));
  ASSERT_THAT(untaken(), SizeIs(1));
  EXPECT_EQ(untaken().front().code, "orthanc.failed");
}

TEST_F(FeedTest, WhatIsGoneBeforeItWasFetchedIsToldAndPassed) {
  start();
  run();
  feed_.reset();
  archive_.store(1, "one");
  archive_.store(2, "two");
  archive_.remove(1);
  start();
  run();

  EXPECT_THAT(taken_, ElementsAre("two"));
  EXPECT_TRUE(env_.log.contains("orthanc.gone_before_fetched"));
  EXPECT_THAT(untaken(), IsEmpty());
}

TEST_F(FeedTest, AnotherDatabaseIsReadFromItsBeginning) {
  for (int i = 0; i < 5; ++i) archive_.store(i, "old");
  start();
  run();
  feed_.reset();
  archive_.lose_changes();
  archive_.set_note("");
  archive_.store(7, "seven");
  start();
  run();

  EXPECT_THAT(taken_, ElementsAre("seven"));
  EXPECT_TRUE(env_.log.contains("orthanc.other_database"));
}

// Orthanc drops the changes of what it deletes: its newest position may go back.
TEST_F(FeedTest, WhatOrthancDeletesDoesNotMakeTheFeedBeginAnew) {
  for (int i = 0; i < 5; ++i) archive_.store(i, "old");
  start();
  run();
  feed_.reset();
  archive_.drop_newest_change();
  archive_.drop_newest_change();
  start();
  run();

  EXPECT_THAT(taken_, IsEmpty());
  EXPECT_FALSE(env_.log.contains("orthanc.other_database"));
}

TEST_F(FeedTest, ADatabaseFromABackUpGoesOnWhereItWasThen) {
  start();
  run();
  feed_.reset();
  const std::string then = archive_.note().value();
  for (int i = 0; i < 3; ++i) archive_.store(i, "lost with the database");
  start();
  run();
  feed_.reset();
  taken_.clear();
  archive_.lose_changes();
  archive_.set_note(then);
  archive_.store(7, "seven");
  start();
  run();

  EXPECT_THAT(taken_, ElementsAre("seven"));
}

// The callback was slow, its change was fetched meanwhile: what it says then must not stand for a
// later change of the same instance.
TEST_F(FeedTest, ALateCallbackDoesNotHideALaterChange) {
  start();
  run();
  archive_.store(1, "one");
  run();
  env_.clock.advance(options_.grace);
  run();
  feed_->taken(FakeArchive::id(1));
  run();
  run();

  archive_.store(1, "other bytes");
  run();
  env_.clock.advance(options_.grace);
  run();

  EXPECT_THAT(taken_, ElementsAre("one", "other bytes"));
}

// A repetition, which Orthanc calls back for without a change, and then other bytes that the
// callback had no room for.
TEST_F(FeedTest, WhatTheCallbackMissedIsFetchedWhateverItTookBefore) {
  start();
  run();
  feed_->taken(FakeArchive::id(1));
  archive_.store(1, "other bytes");
  feed_->missed(FakeArchive::id(1));

  run();
  env_.clock.advance(options_.grace);
  run();

  EXPECT_THAT(taken_, ElementsAre("other bytes"));
}

TEST_F(FeedTest, TakesAllThatWasThereBeforeOnce) {
  options_.existing = Existing::all;
  for (int i = 0; i < 6; ++i) {
    archive_.store(i, std::to_string(i));
    archive_.put_into_study(100 + i / 2, i);
  }
  start();
  run();

  EXPECT_THAT(taken_, UnorderedElementsAre("0", "1", "2", "3", "4", "5"));
  EXPECT_EQ(feed_->status().walk, "done");
  EXPECT_EQ(feed_->status().walk_studies, 3);
  feed_.reset();
  start();
  run();

  EXPECT_THAT(taken_, SizeIs(6));
  EXPECT_EQ(feed_->status().walk, "done");
}

TEST_F(FeedTest, AWalkThatWasCutShortGoesOnBehindItsLastStudy) {
  options_.existing = Existing::all;
  for (int i = 0; i < 3; ++i) {
    archive_.store(i, std::to_string(i));
    archive_.put_into_study(100 + i, i);
  }
  start();
  feed_->run_once();  // one study
  ASSERT_EQ(feed_->status().walk_studies, 1);
  feed_.reset();
  start();
  run();

  EXPECT_THAT(taken_, ElementsAre("0", "1", "2"));
  EXPECT_EQ(feed_->status().walk_studies, 3);
  EXPECT_EQ(feed_->status().walk_studies_in_all, 3);
}

TEST_F(FeedTest, TakesWhatWasReceivedSinceADay) {
  options_.existing = Existing::since;
  options_.since = "20260120";
  archive_.store(1, "old", "20260119T235959");
  archive_.store(2, "new", "20260120T000000");
  archive_.put_into_study(100, 1);
  archive_.put_into_study(100, 2);
  start();
  run();

  EXPECT_THAT(taken_, ElementsAre("new"));
}

TEST_F(FeedTest, TheWalkLetsTheFeedGoOnWhileItFindsNothingToTake) {
  options_.existing = Existing::since;
  options_.since = "20260120";
  for (int i = 1; i <= 250; ++i) {
    archive_.store(i, "old", "20260119T235959");
    archive_.put_into_study(900, i);
  }
  start();

  feed_->run_once();

  EXPECT_EQ(feed_->status().walk, "running");
  run();
  EXPECT_EQ(feed_->status().walk, "done");
  EXPECT_THAT(taken_, IsEmpty());
}

TEST_F(FeedTest, AnInstanceThatOrthancCannotShowDoesNotEndTheWalk) {
  options_.existing = Existing::since;
  options_.since = "20260120";
  archive_.store(1, "broken", "20260120T000000");
  archive_.store(2, "new", "20260120T000000");
  archive_.put_into_study(100, 2);
  archive_.put_into_study(100, 1);  // looked at first
  archive_.hook = [](const std::string& path) -> std::optional<Error> {
    if (!path.starts_with("/instances/" + FakeArchive::id(1))) return std::nullopt;
    return transient_error("orthanc.failed", "It cannot be read.");
  };
  start();

  for (int i = 0; i < 10; ++i) run();

  EXPECT_THAT(taken_, ElementsAre("new"));
  EXPECT_THAT(untaken(), SizeIs(1));
  EXPECT_EQ(feed_->status().walk, "done");
}

TEST_F(FeedTest, TheWalkKeepsToItsRateAndLetsTheFeedGoOnInBetween) {
  for (int number = 1; number <= 50; ++number) {
    archive_.store(number, "old");
    archive_.put_into_study(900, number);
  }
  options_.existing = Existing::all;
  options_.existing_per_second = 20;
  start();
  Milliseconds waited{0};
  for (int i = 0; i < 10; ++i) waited += feed_->run_once();
  EXPECT_GT(taken_.size(), 0U);
  EXPECT_LE(static_cast<double>(taken_.size()), 20.0 * static_cast<double>(waited.count()) / 1000);
  EXPECT_EQ(feed_->status().walk, "running");

  archive_.store(99, "just now");
  feed_->run_once();
  env_.clock.advance(options_.grace);
  feed_->run_once();

  EXPECT_THAT(taken_, Contains("just now"));
}

TEST_F(FeedTest, WaitsForOrthancToAnswer) {
  archive_.hook = [](const std::string&) -> std::optional<Error> {
    return transient_error("orthanc.failed", "It is not up yet.");
  };
  start();

  EXPECT_GT(run(), Milliseconds{0});
  archive_.hook = nullptr;
  archive_.store(1, "one");
  run();

  EXPECT_EQ(feed_->status().position, archive_.last());
}

}  // namespace
}  // namespace isthmus::test
