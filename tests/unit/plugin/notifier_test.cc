#include "plugin/notifier.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "support/matchers.h"
#include "support/scripted_transport.h"
#include "unit/plugin/plugin_fixture.h"

namespace isthmus::test {
namespace {

using plugin::Notifier;
using plugin::NotifierOptions;
using testing::IsEmpty;
using testing::SizeIs;

class NotifierTest : public PluginFixture {
 protected:
  // As after a restart: only marks are left.
  Milliseconds run() {
    Notifier notifier(env_, archive_, ledger_, transport_, options_);
    Milliseconds wait{0};
    for (int i = 0; i < 100 && wait == Milliseconds{0}; ++i) wait = notifier.run_once();
    return wait;
  }
  double counted(const char* result) {
    return env_.env().metrics.counter("orthanc_notified_total", "", {{"result", result}}).value();
  }

  NotifierOptions options_{"https://ris.example/imported", "secret", Milliseconds{2'000}};
  ScriptedTransport transport_;
};

TEST_F(NotifierTest, TellsOnceWhenAllOfAStudyIsImported) {
  receive(1, "1.5", "one");
  receive(2, "1.6", "two");
  import_all();
  transport_.answers(204);

  run();
  run();

  ASSERT_THAT(transport_.seen(), SizeIs(1));
  const auto& call = transport_.seen().front();
  EXPECT_EQ(call.method, "POST");
  EXPECT_EQ(call.url, "https://ris.example/imported");
  EXPECT_EQ(call.headers.get("Authorization"), "Bearer secret");
  const auto body = nlohmann::json::parse(call.body);
  EXPECT_EQ(body["event"], "StudyImported");
  EXPECT_EQ(body["study_instance_uid"], kStudy);
  EXPECT_EQ(body["orthanc_study"], FakeArchive::id(900));
  EXPECT_EQ(body["instances"], 2);
  EXPECT_EQ(body["image_sets"], nlohmann::json({"set-1"}));
  EXPECT_EQ(counted("told"), 1);
}

TEST_F(NotifierTest, SaysNothingWhileSomethingOfItIsOnItsWay) {
  receive(1, "1.5", "one");
  import_all();
  receive(2, "1.6", "late");

  run();

  EXPECT_THAT(transport_.seen(), IsEmpty());
  import_all();
  transport_.answers(200);
  run();
  EXPECT_THAT(transport_.seen(), SizeIs(1));
}

TEST_F(NotifierTest, TellsWhenAPersonDiscardedTheLastThatWasInTheWay) {
  receive(1, "1.5", "one");
  import_all();
  receive(2, "1.6", "refused");
  conclude_all(OutcomeKind::rejected);
  run();
  EXPECT_THAT(transport_.seen(), IsEmpty());
  ASSERT_THAT(ledger_.order_discard("1.6", "not wanted"), IsOk());
  transport_.answers(200).answers(200);

  run();

  ASSERT_THAT(transport_.seen(), SizeIs(1));
  EXPECT_EQ(nlohmann::json::parse(transport_.seen()[0].body)["instances"], 1);
  // What comes later is told of as well.
  receive(3, "1.7", "late");
  import_all();
  run();
  EXPECT_THAT(transport_.seen(), SizeIs(2));
}

TEST_F(NotifierTest, SaysNothingOfAStudyThatAPersonDiscarded) {
  receive(1, "1.5", "refused");
  conclude_all(OutcomeKind::rejected);
  ASSERT_THAT(ledger_.order_discard("1.5", "not wanted"), IsOk());

  run();

  EXPECT_THAT(transport_.seen(), IsEmpty());
}

TEST_F(NotifierTest, TellsAgainWithTheSameKeyUntilItIsHeard) {
  receive(1, "1.5", "one");
  import_all();
  transport_.fails(transient_error("http.connect", "Nobody listens."))
      .answers(503)
      .answers(429)
      .answers(200);

  EXPECT_EQ(run(), Milliseconds{500});
  run();
  run();
  run();
  run();

  ASSERT_THAT(transport_.seen(), SizeIs(4));
  EXPECT_EQ(transport_.seen()[0].headers.get("Idempotency-Key"),
            transport_.seen()[3].headers.get("Idempotency-Key"));
  EXPECT_EQ(counted("told"), 1);
}

TEST_F(NotifierTest, WhatIsRefusedIsNotToldAgain) {
  receive(1, "1.5", "one");
  import_all();
  transport_.answers(404);

  run();
  run();

  EXPECT_THAT(transport_.seen(), SizeIs(1));
  EXPECT_EQ(counted("refused"), 1);
}

TEST_F(NotifierTest, WhatOrthancDeletedMeanwhileIsToldWithoutItsId) {
  record("1.5", "one");
  import_all();
  transport_.answers(200);

  run();

  ASSERT_THAT(transport_.seen(), SizeIs(1));
  EXPECT_TRUE(nlohmann::json::parse(transport_.seen()[0].body)["orthanc_study"].is_null());
}

}  // namespace
}  // namespace isthmus::test
