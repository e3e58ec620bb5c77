#include "datastore/engine/fair_share.h"

#include <gtest/gtest.h>

#include <optional>

#include "base/thread.h"
#include "support/test_env.h"

namespace isthmus::datastore {
namespace {

// Whoever has the fewest is served, however long others have waited.
TEST(FairShare, ServesTheOneWithTheFewest) {
  test::TestEnv env;
  FairShare share(2);
  std::optional<FairShare::Slot> first, second;
  first.emplace(share, "large");
  second.emplace(share, "large");
  Wakeup large_served, small_served, end;
  Thread large(env, "large", [&] {
    const FairShare::Slot slot(share, "large");
    large_served.notify();
  });
  while (share.waiting() < 1) std::this_thread::yield();
  Thread small(env, "small", [&] {
    const FairShare::Slot slot(share, "small");
    small_served.notify();
    end.wait_for(Milliseconds(60'000));
  });
  while (share.waiting() < 2) std::this_thread::yield();

  first.reset();

  EXPECT_TRUE(small_served.wait_for(Milliseconds(60'000)));
  EXPECT_EQ(share.waiting(), 1U) << "large has one and waits, small has one";
  second.reset();
  EXPECT_TRUE(large_served.wait_for(Milliseconds(60'000)));
  end.notify();
}

TEST(FairShare, GivesAllToTheOnlyOne) {
  FairShare share(3);
  const FairShare::Slot one(share, "a"), two(share, "a"), three(share, "a");

  EXPECT_EQ(share.waiting(), 0U);
}

}  // namespace
}  // namespace isthmus::datastore
