#include "base/failpoint.h"

#include <gtest/gtest.h>

namespace isthmus {
namespace {

TEST(Failpoint, RunsItsActionOnceAtTheNthReach) {
  int runs = 0;
  arm_failpoint(Failpoint::spool_renamed, 2, [&] { ++runs; });

  FAILPOINT(spool_renamed);
  EXPECT_EQ(runs, 0);
  FAILPOINT(spool_begun);
  FAILPOINT(spool_renamed);
  FAILPOINT(spool_renamed);

  EXPECT_EQ(runs, 1);
}

TEST(Failpoint, NamesGoBothWays) {
  for (const Failpoint point : all_failpoints()) {
    EXPECT_EQ(failpoint_from(to_string(point)), point);
  }
  EXPECT_EQ(failpoint_from("nothing"), std::nullopt);
}

}  // namespace
}  // namespace isthmus
