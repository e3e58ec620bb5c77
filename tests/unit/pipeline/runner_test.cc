#include "pipeline/runner.h"

#include <gtest/gtest.h>

#include "support/test_env.h"

namespace isthmus::test {
namespace {

using namespace std::chrono_literals;

// What a scripted step answers, run by run; afterwards "in an hour". Each run is told to a queue,
// so that tests wait for runs and not for time.
class ScriptedStep : public Step {
 public:
  ScriptedStep(BoundedQueue<int>& runs, std::vector<Result<NextRun>> script)
      : runs_(runs), script_(std::move(script)) {}
  std::string_view name() const override { return "scripted"; }
  Result<NextRun> run_once() override {
    const std::size_t run = count_++;
    runs_.push(static_cast<int>(run));
    if (run < script_.size()) return script_[run];
    return NextRun{1h};
  }

 private:
  BoundedQueue<int>& runs_;
  std::vector<Result<NextRun>> script_;
  std::size_t count_ = 0;
};

struct RunnerTest : ::testing::Test {
  TestEnv env{1, posix_files(), true};
  BoundedQueue<int> runs{1000};
  bool ran(Milliseconds patience = 20s) { return runs.pop_for(patience).has_value(); }
};

TEST_F(RunnerTest, RunsAStepAtOnceAndAgainWhileThereIsMore) {
  Runner runner(env);
  runner.add(std::make_unique<ScriptedStep>(
      runs, std::vector<Result<NextRun>>{NextRun{0ms}, NextRun{0ms}, NextRun{1h}}));

  runner.start();

  EXPECT_TRUE(ran());
  EXPECT_TRUE(ran());
  EXPECT_TRUE(ran());
  runner.stop();
  EXPECT_EQ(runs.size(), 0u);
}

TEST_F(RunnerTest, RunsAgainWhenTheDateComes) {
  Runner runner(env);
  runner.add(std::make_unique<ScriptedStep>(runs, std::vector<Result<NextRun>>{NextRun{30ms}}));

  runner.start();

  EXPECT_TRUE(ran());
  EXPECT_TRUE(ran());
}

TEST_F(RunnerTest, AWakeupComesBeforeTheDate) {
  Runner runner(env);
  runner.add(std::make_unique<ScriptedStep>(runs, std::vector<Result<NextRun>>{}));
  runner.start();
  ASSERT_TRUE(ran());

  runner.wake();

  EXPECT_TRUE(ran());
}

TEST_F(RunnerTest, GoesOnAfterAnErrorThatIsNotFatal) {
  Runner runner(env);
  runner.add(std::make_unique<ScriptedStep>(
      runs, std::vector<Result<NextRun>>{transient_error("ledger.full", "No space.")}));

  runner.start();

  EXPECT_TRUE(ran());
  EXPECT_TRUE(ran());
  runner.stop();
  EXPECT_TRUE(env.fatals().empty());
  EXPECT_TRUE(env.log.contains("warn step.failed step=scripted code=ledger.full"));
  const std::string text = env.metrics->text();
  EXPECT_NE(text.find("isthmus_pipeline_step_runs_total{step=\"scripted\"} 2"), std::string::npos)
      << text;
  EXPECT_NE(text.find("isthmus_pipeline_step_errors_total{"), std::string::npos) << text;
}

// Each commit is a wakeup, and a step that fails may well have committed something before it did.
TEST_F(RunnerTest, WakeupsDoNotShortenTheWaitAfterAnError) {
  struct Failing : Step {
    Failing(Runner& r, BoundedQueue<int>& q) : runner(r), runs(q) {}
    std::string_view name() const override { return "failing"; }
    Result<NextRun> run_once() override {
      runner.wake();
      static_cast<void>(runs.try_push(1));  // nobody takes them all
      return transient_error("ledger.full", "No space.");
    }
    Runner& runner;
    BoundedQueue<int>& runs;
  };
  Runner runner(env);
  runner.add(std::make_unique<Failing>(runner, runs));
  const SteadyTime start = env.env().clock.steady_now();

  runner.start();
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(ran(120s));

  EXPECT_GE(env.env().clock.steady_now() - start, 3 * 50ms);  // three waits of the shortest kind
}

TEST_F(RunnerTest, AFatalErrorIsReportedAndEndsTheStep) {
  Runner runner(env);
  runner.add(std::make_unique<ScriptedStep>(
      runs, std::vector<Result<NextRun>>{fatal_error("ledger.io", "The disk is gone.")}));

  runner.start();
  ASSERT_TRUE(ran());
  runner.wake();
  runner.stop();

  ASSERT_EQ(env.fatals().size(), 1u);
  EXPECT_EQ(env.fatals().front().code, "ledger.io");
  EXPECT_EQ(runs.size(), 0u);
}

TEST_F(RunnerTest, StopsBeforeTheDateAndTwice) {
  Runner runner(env);
  runner.add(std::make_unique<ScriptedStep>(runs, std::vector<Result<NextRun>>{}));
  runner.start();
  ASSERT_TRUE(ran());

  runner.stop();
  runner.stop();
  runner.wake();

  EXPECT_EQ(runs.size(), 0u);
}

TEST_F(RunnerTest, StoppedBeforeStartItNeverRuns) {
  Runner runner(env);
  runner.add(std::make_unique<ScriptedStep>(runs, std::vector<Result<NextRun>>{}));

  runner.stop();
  runner.start();
  runner.stop();

  EXPECT_EQ(runs.size(), 0u);
}

TEST_F(RunnerTest, GivesEachStepAThreadOfItsOwn) {
  BoundedQueue<int> gate(1);
  Runner runner(env);
  struct Blocked : Step {
    explicit Blocked(BoundedQueue<int>& g) : gate(g) {}
    std::string_view name() const override { return "blocked"; }
    Result<NextRun> run_once() override {
      gate.pop();
      return NextRun{1h};
    }
    BoundedQueue<int>& gate;
  };
  runner.add(std::make_unique<Blocked>(gate));
  runner.add(std::make_unique<ScriptedStep>(runs, std::vector<Result<NextRun>>{}));

  runner.start();

  EXPECT_TRUE(ran());
  gate.push(1);
}

}  // namespace
}  // namespace isthmus::test
