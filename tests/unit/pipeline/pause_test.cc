#include "pipeline/pause.h"

#include "support/matchers.h"

namespace isthmus {
namespace {

class CountingStep : public Step {
 public:
  explicit CountingStep(int& runs) : runs_(runs) {}
  std::string_view name() const override { return "counting"; }
  Milliseconds spacing() const override { return Milliseconds(7); }
  Result<NextRun> run_once() override {
    ++runs_;
    return NextRun{Milliseconds(5)};
  }

 private:
  int& runs_;
};

TEST(PausableStep, DoesNothingWhileItsDestinationIsPaused) {
  int runs = 0;
  PauseBoard board;
  const auto step = make_pausable(std::make_unique<CountingStep>(runs), board, "main");

  board.pause("main");
  ASSERT_OK_AND_ASSIGN(const NextRun paused, step->run_once());
  EXPECT_EQ(runs, 0);
  EXPECT_LE(paused.in, Milliseconds(1'000));
  EXPECT_GT(paused.in, Milliseconds(0));

  board.resume("main");
  ASSERT_OK_AND_ASSIGN(const NextRun next, step->run_once());
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(next.in, Milliseconds(5));
}

TEST(PausableStep, AnotherDestinationsPauseIsNotItsOwn) {
  int runs = 0;
  PauseBoard board;
  const auto step = make_pausable(std::make_unique<CountingStep>(runs), board, "main");
  board.pause("cloud");

  ASSERT_OK_AND_ASSIGN(const NextRun next, step->run_once());

  EXPECT_EQ(runs, 1);
  EXPECT_EQ(next.in, Milliseconds(5));
  EXPECT_EQ(step->name(), "counting");
  EXPECT_EQ(step->spacing(), Milliseconds(7));
}

}  // namespace
}  // namespace isthmus
