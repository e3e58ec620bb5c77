#include "base/command.h"

#include "support/matchers.h"

namespace isthmus {
namespace {

using test::FailsWith;

TEST(Command, GivesWhatItPrinted) {
  ASSERT_OK_AND_ASSIGN(const std::string printed, run_command({"printf", "%s|%s", "a b", "$HOME"}));

  EXPECT_EQ(printed, "a b|$HOME");
}

TEST(Command, TellsOfAProgramThatIsNotThere) {
  EXPECT_THAT(run_command({"/no/such/program"}), FailsWith("command.failed", Fate::transient));
}

TEST(Command, TellsOfAnotherStatusThanZero) {
  const auto result = run_command({"sh", "-c", "echo secret; exit 3"});

  EXPECT_THAT(result, FailsWith("command.failed", Fate::transient));
  EXPECT_EQ(result.error().message, "The command sh ended with status 3.");
}

TEST(Command, EndsWhatTakesTooLong) {
  EXPECT_THAT(run_command({"sleep", "1000"}, {.timeout = Milliseconds(50)}),
              FailsWith("command.timeout", Fate::transient));
  EXPECT_THAT(run_command({"sh", "-c", "exec >&-; sleep 1000"}, {.timeout = Milliseconds(50)}),
              FailsWith("command.timeout", Fate::transient));
}

TEST(Command, EndsWhatPrintsTooMuch) {
  EXPECT_THAT(run_command({"yes"}, {.most_output_bytes = 1000}),
              FailsWith("command.too_long", Fate::permanent));
}

TEST(Command, InheritsNothing) {
  ASSERT_OK_AND_ASSIGN(const std::string printed, run_command({"ls", "/proc/self/fd"}));

  EXPECT_EQ(printed, "0\n1\n2\n3\n");  // 3: the folder that ls reads
}

}  // namespace
}  // namespace isthmus
