// Who begins waits for memory; who has begun finds it, or is told at once.
#include "spool/segments/buffers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/thread.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

using segments::BufferPool;
using segments::Chunk;
using segments::Gathered;
using segments::kChunkBytes;

constexpr Milliseconds kLong{60'000};

class Buffers : public ::testing::Test {
 protected:
  static std::vector<Chunk> fill(BufferPool& pool) {
    std::vector<Chunk> taken;
    while (Chunk chunk = pool.take()) taken.push_back(std::move(chunk));
    return taken;
  }
  double waits() { return env.env().metrics.counter("spool_buffer_waits_total", "").value(); }

  TestEnv env;
};

TEST_F(Buffers, KeepHalfForWhatWasBegun) {
  BufferPool pool(env.env(), 4 * kChunkBytes, Milliseconds(0));
  Gathered one(pool, 0), two(pool, 0), three(pool, 0);
  const Bytes piece(kChunkBytes);
  ASSERT_TRUE(one.append(piece));
  ASSERT_TRUE(two.append(piece));

  EXPECT_FALSE(three.append(piece));

  EXPECT_TRUE(one.append(piece));
  EXPECT_TRUE(two.append(piece));
  EXPECT_FALSE(two.append(piece));
}

TEST_F(Buffers, LetWhoBeginsWaitUntilSomebodyIsWhole) {
  BufferPool pool(env.env(), 2 * kChunkBytes, kLong);
  std::vector<Chunk> taken = fill(pool);
  Chunk begun;
  Thread waiting(env.env(), "waiting", [&] { begun = pool.take_first(); });
  while (waits() < 1) std::this_thread::yield();

  for (Chunk& chunk : taken) pool.give_back(std::move(chunk));
  waiting.join();

  EXPECT_TRUE(begun);
}

TEST_F(Buffers, DoNotLetOthersWaitOnceNothingMoves) {
  BufferPool pool(env.env(), 2 * kChunkBytes, Milliseconds(1));
  std::vector<Chunk> taken = fill(pool);
  EXPECT_FALSE(pool.take_first());
  EXPECT_EQ(waits(), 1);

  EXPECT_FALSE(pool.take_first());

  EXPECT_EQ(waits(), 1);
  pool.give_back(std::move(taken.back()));
  EXPECT_FALSE(pool.take_first());
  EXPECT_EQ(waits(), 2);
}

TEST_F(Buffers, OfOneChunkServeOneAfterTheOther) {
  BufferPool pool(env.env(), kChunkBytes, Milliseconds(0));
  Chunk chunk = pool.take_first();
  ASSERT_TRUE(chunk);
  EXPECT_FALSE(pool.take_first());
  pool.give_back(std::move(chunk));
  EXPECT_TRUE(pool.take_first());
}

}  // namespace
}  // namespace isthmus::test
