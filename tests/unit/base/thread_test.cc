#include "base/thread.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "support/test_env.h"

namespace isthmus {
namespace {

TEST(Thread, AnEscapedExceptionIsFatal) {
  test::TestEnv env;
  Thread(env, "broken", [] { throw std::runtime_error("bug"); }).join();

  ASSERT_EQ(env.fatals().size(), 1U);
  EXPECT_EQ(env.fatals()[0].code, "thread.exception");
}

TEST(Wakeup, AHintGivenBeforeWaitingIsKept) {
  Wakeup wakeup;
  wakeup.notify();

  EXPECT_TRUE(wakeup.wait_for(Milliseconds(0)));
  EXPECT_FALSE(wakeup.wait_for(Milliseconds(0)));
}

TEST(BoundedQueue, RefusesBeyondItsLimitAndAfterClose) {
  BoundedQueue<int> queue(2);
  EXPECT_TRUE(queue.try_push(1));
  EXPECT_TRUE(queue.try_push(2));
  EXPECT_FALSE(queue.try_push(3));
  queue.close();

  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), 2);
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_FALSE(queue.push(4));
}

TEST(WorkerPool, StopRunsWhatWasQueued) {
  test::TestEnv env;
  std::atomic<int> done{0};
  WorkerPool pool(env, "pool", 3, 100);
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(pool.submit([&] { ++done; }));

  pool.stop();
  pool.stop();

  EXPECT_EQ(done, 50);
  EXPECT_FALSE(pool.submit([] {}));
}

}  // namespace
}  // namespace isthmus
