#include "datastore/engine/frame_store.h"

#include <gmock/gmock.h>

#include <condition_variable>
#include <mutex>

#include "base/thread.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::datastore {
namespace {

using test::FailsWith;
using test::IsOk;

// Makes "<form>:<index>"; can be held up.
class FakeRenderer : public FrameRenderer {
 public:
  Result<Bytes> render(const FileSystem::Path&, const FrameOrder& order) override {
    std::unique_lock lock(mutex_);
    ++calls_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !held_; });
    if (failure) return *failure;
    const std::string text = order.form + ":" + std::to_string(order.record.offset);
    const ByteSpan bytes = as_bytes(text);
    return Bytes(bytes.begin(), bytes.end());
  }
  void hold() { held_ = true; }
  void wait_for_call() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return calls_ > 0; });
  }
  void let_go() {
    const std::lock_guard lock(mutex_);
    held_ = false;
    changed_.notify_all();
  }
  int calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  std::optional<Error> failure;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  int calls_ = 0;
};

class Frames : public ::testing::Test {
 protected:
  std::unique_ptr<FrameStore> open(std::uint64_t cache_bytes, std::size_t at_once = 2,
                                   std::size_t waiting = 64) {
    auto opened = FrameStore::open(env, *catalogue, *blobs, renderer, env.folder(),
                                   {cache_bytes, at_once, waiting});
    EXPECT_THAT(opened, IsOk());
    return opened ? std::move(*opened) : nullptr;
  }
  static StoredFrame frame(std::uint32_t index, FrameForm form = FrameForm::transcoded) {
    StoredFrame stored;
    stored.blob = sha256("blob");
    stored.index = index;
    stored.description.form = form;
    stored.description.transfer_syntax_uid = "1.2.840.10008.1.2.5";
    stored.record.offset = index;
    return stored;
  }
  static Result<std::string> read(FrameStore& frames, const StoredFrame& wanted,
                                  const std::string& format = "HTJ2K") {
    TRY_ASSIGN(const auto source, frames.stored(wanted, format));
    return read_all(*source, MiB);
  }

  test::TestEnv env;
  std::unique_ptr<Catalogue> catalogue = std::move(Catalogue::open(env, env.folder())).value();
  std::unique_ptr<Blobs> blobs = std::move(Blobs::open(env, env.folder())).value();
  FakeRenderer renderer;
};

TEST_F(Frames, AreMadeOnceAndKeptOverARestart) {
  auto frames = open(1000);
  EXPECT_EQ(*read(*frames, frame(1)), "HTJ2K:1");
  EXPECT_EQ(*read(*frames, frame(1)), "HTJ2K:1");
  frames = open(1000);
  EXPECT_EQ(*read(*frames, frame(1)), "HTJ2K:1");

  EXPECT_EQ(renderer.calls(), 1);
}

TEST_F(Frames, OfEachFormAreKeptApart) {
  const auto frames = open(1000);

  EXPECT_EQ(*read(*frames, frame(1)), "HTJ2K:1");
  EXPECT_EQ(*read(*frames, frame(1), "JPEG_2000_LOSSLESS"), "JPEG_2000_LOSSLESS:1");
  EXPECT_EQ(*read_all(**frames->plain(frame(1)), MiB), "native:1");
}

TEST_F(Frames, TheOneUnreadLongestLeavesFirst) {
  const auto frames = open(15);  // room for two
  ASSERT_THAT(read(*frames, frame(1)), IsOk());
  ASSERT_THAT(read(*frames, frame(2)), IsOk());
  ASSERT_THAT(read(*frames, frame(1)), IsOk());
  ASSERT_THAT(read(*frames, frame(3)), IsOk());
  ASSERT_EQ(renderer.calls(), 3);

  ASSERT_THAT(read(*frames, frame(1)), IsOk());
  EXPECT_EQ(renderer.calls(), 3);
  ASSERT_THAT(read(*frames, frame(2)), IsOk());
  EXPECT_EQ(renderer.calls(), 4);
}

TEST_F(Frames, AreNotKeptWithoutACache) {
  const auto frames = open(0);
  ASSERT_THAT(read(*frames, frame(1)), IsOk());
  ASSERT_THAT(read(*frames, frame(1)), IsOk());

  EXPECT_EQ(renderer.calls(), 2);
}

TEST_F(Frames, TwoReadersHaveItMadeOnce) {
  const auto frames = open(1000);
  renderer.hold();
  std::string first, second;
  Thread one(env, "one", [&] { first = *read(*frames, frame(1)); });
  renderer.wait_for_call();
  Thread two(env, "two", [&] { second = *read(*frames, frame(1)); });
  renderer.let_go();
  one.join();
  two.join();

  EXPECT_EQ(first, "HTJ2K:1");
  EXPECT_EQ(second, first);
  EXPECT_EQ(renderer.calls(), 1);
}

TEST_F(Frames, ThatWouldHaveToWaitTooLongAreRefused) {
  const auto frames = open(1000, 1, 0);
  renderer.hold();
  Thread one(env, "one", [&] { ignore(read(*frames, frame(1)), "the other one is looked at"); });
  renderer.wait_for_call();

  EXPECT_THAT(read(*frames, frame(2)), FailsWith("datastore.too_many_frames"));

  renderer.let_go();
  one.join();
}

TEST_F(Frames, ThatCannotBeMadeAreTriedAgainByTheNextReader) {
  const auto frames = open(1000);
  renderer.failure = permanent_error("pixels.broken", "no");
  EXPECT_THAT(read(*frames, frame(1)), FailsWith("pixels.broken"));
  renderer.failure.reset();

  EXPECT_EQ(*read(*frames, frame(1)), "HTJ2K:1");
}

TEST_F(Frames, ThatAreKeptAsTheyCameAreReadWhereTheyLie) {
  const auto frames = open(1000);
  const std::string_view file(
      "....\xFE\xFF\x00\xE0\x02\x00\x00\x00"
      "ab\xFE\xFF\x00\xE0\x04\x00\x00\x00"
      "cdef..",
      28);
  auto writer = std::move(blobs->begin()).value();
  ASSERT_THAT(writer->append(as_bytes(file)), IsOk());
  const auto pin = writer->finish();
  ASSERT_THAT(pin, IsOk());
  StoredFrame kept = frame(0, FrameForm::kept);
  kept.blob = pin->digest();
  kept.dataset_offset = 3;
  kept.record = {.offset = 1, .length = 22, .fragments = 2};

  const auto source = frames->stored(kept, "HTJ2K");
  ASSERT_THAT(source, IsOk());
  EXPECT_EQ((*source)->size(), 6U);
  EXPECT_EQ(*read_all(**source, MiB), "abcdef");
  ASSERT_THAT((*source)->rewind(), IsOk());
  EXPECT_EQ(*read_all(**source, MiB), "abcdef");
  kept.record = {.offset = 1, .length = 10, .fragments = 1};
  EXPECT_EQ(*read(*frames, kept), "ab");
  EXPECT_EQ(renderer.calls(), 0);
}

}  // namespace
}  // namespace isthmus::datastore
