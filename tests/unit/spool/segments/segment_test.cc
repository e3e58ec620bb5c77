// One sync for all who wait for a segment, and what a sync that fails means for each of them.
#include "spool/segments/segment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/thread.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

using segments::Segment;
using segments::SegmentHeader;

// A file of which only sync() is asked.
class SyncedFile : public File {
 public:
  explicit SyncedFile(std::function<Result<void>(int nth)> on_sync)
      : on_sync_(std::move(on_sync)) {}
  Result<void> append(ByteSpan) override { return {}; }
  Result<void> write_at(std::uint64_t, ByteSpan) override { return {}; }
  Result<std::size_t> read_at(std::uint64_t, MutableByteSpan) const override {
    return std::size_t{0};
  }
  Result<void> sync() override { return on_sync_(++syncs_); }
  Result<std::uint64_t> size() const override { return std::uint64_t{0}; }

 private:
  const std::function<Result<void>(int)> on_sync_;
  int syncs_ = 0;
};

class SegmentSync : public ::testing::Test {
 protected:
  void wait_until(std::uint64_t waiting) {
    while (segment.waiting() < waiting) std::this_thread::yield();
  }
  void wait_for_it() {
    threads.emplace_back(env, "waiter", [this] {
      if (segment.make_durable(syncs).ok()) {
        ++durable;
      } else {
        ++refused;
      }
    });
  }

  TestEnv env;
  Counter& syncs = env.env().metrics.counter("syncs", "");
  Segment segment{SegmentHeader{1, 1, 1 * MiB, {}}, "/segment"};
  std::atomic<int> durable{0}, refused{0};
  std::vector<Thread> threads;
};

TEST_F(SegmentSync, ThoseWhoComeDuringASyncShareTheNext) {
  segment.use(std::make_shared<SyncedFile>([this](int nth) -> Result<void> {
    if (nth == 1) {
      for (int i = 0; i < 7; ++i) wait_for_it();
      wait_until(8);
    }
    return {};
  }));

  ASSERT_THAT(segment.make_durable(syncs), IsOk());
  threads.clear();

  EXPECT_EQ(durable, 7);
  EXPECT_EQ(syncs.value(), 2);
}

TEST_F(SegmentSync, AFailedSyncIsNotRepeatedAndRefusesAllWhoWait) {
  segment.use(std::make_shared<SyncedFile>([this](int nth) -> Result<void> {
    if (nth == 1) {
      for (int i = 0; i < 3; ++i) wait_for_it();
      wait_until(4);
    }
    return permanent_error("disk.io", "The disk failed.");
  }));

  EXPECT_THAT(segment.make_durable(syncs), FailsWith("spool.segment_sync_failed", Fate::fatal));
  threads.clear();

  EXPECT_EQ(refused, 3);
  EXPECT_EQ(syncs.value(), 1);
  EXPECT_THAT(segment.make_durable(syncs), FailsWith("spool.segment_sync_failed", Fate::fatal));
}

TEST_F(SegmentSync, AFullDiskRefusesAndMayPass) {
  segment.use(std::make_shared<SyncedFile>(
      [](int) -> Result<void> { return transient_error("disk.full", "Full."); }));

  EXPECT_THAT(segment.make_durable(syncs), FailsWith("spool.full", Fate::transient));
}

}  // namespace
}  // namespace isthmus::test
