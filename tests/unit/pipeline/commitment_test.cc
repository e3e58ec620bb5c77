// Evaluating and reporting, on a ledger in memory and a line to requesters that does as it is told.
#include "pipeline/commitment.h"

#include <deque>

#include "unit/pipeline/world.h"

namespace isthmus::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Answers connects and reports from scripts; after their end with success.
class ScriptedLine : public ReportLine {
 public:
  struct Call {
    std::string title;
    std::vector<std::string> transactions;
  };

  Result<std::unique_ptr<ReportAssociation>> connect(const ReportPeer& peer) override {
    ++connects;
    if (!connect_errors.empty()) {
      const Error error = connect_errors.front();
      connect_errors.pop_front();
      return error;
    }
    calls.push_back({peer.calling_ae_title, {}});
    return std::unique_ptr<ReportAssociation>(new Open(*this, calls.size() - 1));
  }

  int connects = 0;
  std::deque<Error> connect_errors;
  std::deque<Result<std::uint16_t>> answers;
  std::vector<Call> calls;
  std::function<void()> while_reporting;

 private:
  class Open : public ReportAssociation {
   public:
    Open(ScriptedLine& line, std::size_t place) : line_(line), place_(place) {}
    Result<std::uint16_t> report(const Commitment& commitment) override {
      line_.calls[place_].transactions.push_back(commitment.transaction_uid.text());
      if (line_.while_reporting) line_.while_reporting();
      if (line_.answers.empty()) return std::uint16_t{0};
      const auto answer = line_.answers.front();
      line_.answers.pop_front();
      return answer;
    }

   private:
    ScriptedLine& line_;
    const std::size_t place_;
  };
};

struct CommitmentWorld : World {
  CommitmentId ask(const std::string& transaction, const std::string& title = "CT",
                   const std::string& instance = "1.2.9") {
    CommitmentRequest request;
    request.transaction_uid = uid(transaction);
    request.calling_ae_title = title;
    request.called_ae_title = "ISTHMUS";
    EXPECT_TRUE(request.references.add(uid("1.2.840.10008.5.1.4.1.1.2"), uid(instance)));
    request.unknown_until = env.clock.wall_now() + 1h;
    request.answer_until = env.clock.wall_now() + 24h;
    return ledger.commitments().request(request, 1000)->id;
  }
  CommitmentId answered(const std::string& transaction, const std::string& title = "CT") {
    const CommitmentId id = ask(transaction, title);
    env.clock.advance(1h);
    EXPECT_THAT(evaluator->run_once(), IsOk());
    EXPECT_EQ(load(id).state, CommitmentState::answered);
    return id;
  }
  Commitment load(const CommitmentId& id) { return **ledger.commitments().commitment(id); }
  NextRun run(Step& step) {
    const auto next = step.run_once();
    EXPECT_THAT(next, IsOk());
    return *next;
  }

  ScriptedLine line;
  ReportDesk desk;
  std::unique_ptr<Step> evaluator = make_commitment_evaluator(env, ledger.commitments(), spool, {});
  std::unique_ptr<Step> reporter = make_commitment_reporter(env, ledger.commitments(), line, desk);
};

Error unreachable() {
  return transient_error("report.unreachable", "Nobody is there.");
}

TEST(CommitmentEvaluator, WaitsForWhatNeverCameAndLooksAgainByItself) {
  CommitmentWorld world;
  const CommitmentId id = world.ask("1.1");

  const NextRun next = world.run(*world.evaluator);

  EXPECT_EQ(world.load(id).state, CommitmentState::pending);
  EXPECT_EQ(next.in, 1s);
  world.env.clock.advance(24min);
  EXPECT_EQ(world.run(*world.evaluator).in, 30s) << "the runner's longest sleep";
  EXPECT_EQ(*world.load(id).next_attempt_at - world.env.clock.wall_now(), 60s)
      << "less often as time goes by";
}

TEST(CommitmentEvaluator, LooksWhenADeadlineIsOver) {
  CommitmentWorld world;
  const CommitmentId id = world.ask("1.1");
  world.env.clock.advance(1h - 10s);
  world.run(*world.evaluator);

  EXPECT_EQ(*world.load(id).next_attempt_at - world.env.clock.wall_now(), 10s);
  world.env.clock.advance(10s);
  world.run(*world.evaluator);

  EXPECT_EQ(world.load(id).state, CommitmentState::answered);
  EXPECT_EQ(world.load(id).report_until, world.env.clock.wall_now() + 72h);
}

TEST(CommitmentEvaluator, NothingIsAnsweredWhileRowsAreBehind) {
  CommitmentWorld world;
  const CommitmentId id = world.ask("1.2.3.4", "CT", "1.2.3.1.1");
  world.env.clock.advance(1h);  // from here on what is unknown is answered so
  bool ledger_refuses = true;
  world.spool.set_hook([&](MemorySpool::Call call, const SpoolRef&) -> std::optional<Error> {
    if (call != MemorySpool::Call::catch_up) return std::nullopt;
    if (ledger_refuses) return transient_error("ledger.full", "No space.");
    world.receive("1.2.3", 1);  // promised before it was asked for
    return std::nullopt;
  });

  EXPECT_THAT(world.evaluator->run_once(), FailsWith("ledger.full", Fate::transient));
  EXPECT_EQ(world.load(id).state, CommitmentState::pending);

  ledger_refuses = false;
  world.run(*world.evaluator);
  EXPECT_EQ(world.load(id).state, CommitmentState::pending) << "it is known, and on its way";
}

TEST(CommitmentReporter, TellsOnceAndNeverAgain) {
  CommitmentWorld world;
  const CommitmentId id = world.answered("1.1");

  world.run(*world.reporter);
  world.run(*world.reporter);
  world.env.clock.advance(100h);
  world.run(*world.reporter);

  EXPECT_EQ(world.load(id).state, CommitmentState::delivered);
  EXPECT_EQ(world.line.connects, 1);
}

TEST(CommitmentReporter, TellsAllThatOneRequesterIsToKnowOnOneAssociation) {
  CommitmentWorld world;
  world.answered("1.1");
  world.answered("1.2");
  world.answered("1.3", "MR");

  world.run(*world.reporter);

  ASSERT_EQ(world.line.calls.size(), 2U);
  EXPECT_THAT(world.line.calls[0].transactions, ElementsAre("1.1", "1.2"));
  EXPECT_THAT(world.line.calls[1].transactions, ElementsAre("1.3"));
}

TEST(CommitmentReporter, BacksOffAndThenAsksAPerson) {
  CommitmentWorld world;
  const CommitmentId id = world.answered("1.1");
  const WallTime begun = world.env.clock.wall_now();
  std::vector<std::int64_t> waits;
  while (world.load(id).state == CommitmentState::answered) {
    world.line.connect_errors = {unreachable()};
    world.run(*world.reporter);
    const Commitment row = world.load(id);
    if (!row.next_attempt_at) break;
    const auto wait = *row.next_attempt_at - world.env.clock.wall_now();
    waits.push_back(wait / 1min);
    world.env.clock.advance(wait);
  }

  ASSERT_GT(waits.size(), 6U);
  waits.resize(6);
  EXPECT_THAT(waits, ElementsAre(1, 5, 15, 60, 60, 60));
  EXPECT_EQ(world.load(id).state, CommitmentState::expired);
  EXPECT_EQ(world.load(id).error_code, "report.unreachable");
  EXPECT_EQ(world.env.clock.wall_now() - begun, 72h) << "the last attempt is at the very end";
  EXPECT_TRUE(world.env.log.contains("error commitment.expired"));
}

TEST(CommitmentReporter, WhatTheAnswerMeans) {
  for (const int later : {0x0110, 0x0210, 0x0213}) {
    CommitmentWorld world;
    const CommitmentId id = world.answered("1.1");
    world.line.answers = {static_cast<std::uint16_t>(later)};
    world.run(*world.reporter);
    EXPECT_EQ(world.load(id).state, CommitmentState::answered) << later;
    EXPECT_EQ(world.load(id).error_code, "report.not_now");
    world.env.clock.advance(1min);
    world.run(*world.reporter);
    EXPECT_EQ(world.load(id).state, CommitmentState::delivered);
  }
  for (const int never : {0x0112, 0x0113, 0x0115, 0x0117, 0x0119, 0x0211, 0x0212}) {
    CommitmentWorld world;
    const CommitmentId id = world.answered("1.1");
    world.line.answers = {static_cast<std::uint16_t>(never)};
    world.run(*world.reporter);
    EXPECT_EQ(world.load(id).state, CommitmentState::refused) << never;
    EXPECT_THAT(world.load(id).error, HasSubstr("resend"));
    EXPECT_TRUE(world.env.log.contains("error commitment.refused"));
    world.env.clock.advance(100h);
    world.run(*world.reporter);
    EXPECT_EQ(world.line.connects, 1) << "not sent for ever";
  }
}

TEST(CommitmentReporter, OneThatDoesNotAnswerDoesNotMakeEachResultWaitAsLong) {
  CommitmentWorld world;
  const CommitmentId one = world.answered("1.1");
  const CommitmentId two = world.answered("1.2");
  world.line.answers = {transient_error("report.timeout", "")};

  world.run(*world.reporter);

  EXPECT_EQ(world.line.connects, 1);
  EXPECT_EQ(world.load(one).error_code, "report.timeout");
  EXPECT_EQ(world.load(two).error_code, "report.timeout");
  EXPECT_EQ(world.load(two).attempts, 1);
}

TEST(CommitmentReporter, AnAssociationThatBreaksLaterOnIsOpenedAnewForTheRest) {
  CommitmentWorld world;
  const CommitmentId one = world.answered("1.1");
  const CommitmentId two = world.answered("1.2");
  const CommitmentId three = world.answered("1.3");
  world.line.answers = {std::uint16_t{0}, transient_error("report.aborted", "")};

  world.run(*world.reporter);

  EXPECT_EQ(world.load(one).state, CommitmentState::delivered);
  EXPECT_EQ(world.load(two).attempts, 1);
  EXPECT_EQ(world.load(three).attempts, 0);
  world.run(*world.reporter);
  EXPECT_EQ(world.load(three).state, CommitmentState::delivered);
}

TEST(CommitmentReporter, BeingStoppedCountsAgainstNobody) {
  CommitmentWorld world;
  const CommitmentId id = world.answered("1.1");
  world.line.connect_errors = {transient_error("report.stopping", "")};

  world.run(*world.reporter);

  EXPECT_EQ(world.load(id).attempts, 0);
  EXPECT_EQ(world.load(id).next_attempt_at, world.env.clock.wall_now());
  world.desk.stop();
  EXPECT_GT(world.run(*world.reporter).in, 0ms);
  EXPECT_EQ(world.line.connects, 1);
}

TEST(CommitmentReporter, NobodyIsToldOnTwoAssociationsAtOnce) {
  CommitmentWorld world;
  world.answered("1.1");
  const auto second =
      make_commitment_reporter(world.env, world.ledger.commitments(), world.line, world.desk);
  world.line.while_reporting = [&] {
    world.line.while_reporting = nullptr;
    EXPECT_GT(world.run(*second).in, 0ms);
    EXPECT_EQ(world.line.connects, 1);
  };

  world.run(*world.reporter);

  EXPECT_EQ(world.line.connects, 1);
}

TEST(CommitmentReporter, WhatItsOwnAssociationMayBeToldIsLeftToIt) {
  CommitmentWorld world;
  const CommitmentId id = world.answered("1.1");
  {
    const auto hold = world.desk.hold("CT", uid("1.1"));
    EXPECT_GT(world.run(*world.reporter).in, 0ms);
    EXPECT_EQ(world.line.connects, 0);
  }

  world.run(*world.reporter);

  EXPECT_EQ(world.load(id).state, CommitmentState::delivered);
}

}  // namespace
}  // namespace isthmus::test
