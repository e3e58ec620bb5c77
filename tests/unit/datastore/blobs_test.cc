#include "datastore/engine/blobs.h"

#include <gmock/gmock.h>

#include "support/matchers.h"
#include "support/power_loss_files.h"
#include "support/test_env.h"

namespace isthmus::datastore {
namespace {

using test::FailsWith;
using test::FileOperation;
using test::IsOk;
using test::PowerLossFiles;
using test::TestEnv;

Result<BlobPin> write(Blobs& blobs, std::string_view text) {
  TRY_ASSIGN(const std::unique_ptr<BlobWriter> writer, blobs.begin());
  TRY(writer->append(as_bytes(text)));
  return writer->finish();
}

Result<std::string> read(Blobs& blobs, std::string_view text) {
  TRY_ASSIGN(const std::unique_ptr<ByteSource> source, blobs.read(sha256(text), 0, text.size()));
  return read_all(*source, 1 * MiB);
}

class BlobsOnADisk : public ::testing::Test {
 protected:
  BlobsOnADisk() : blobs(open()) {}
  std::unique_ptr<Blobs> open() {
    auto opened = Blobs::open(env, "/store");
    EXPECT_THAT(opened, IsOk());
    return opened ? std::move(*opened) : nullptr;
  }

  PowerLossFiles files;
  TestEnv env{1, files};
  std::unique_ptr<Blobs> blobs;
};

TEST_F(BlobsOnADisk, SyncTheFileThenRenameThenSyncTheFolder) {
  ASSERT_THAT(write(*blobs, "first"), IsOk());  // the folders of both are there now, or not
  files.forget_operations();

  ASSERT_THAT(write(*blobs, "second"), IsOk());

  std::vector<std::string> order;
  for (const auto& done : files.operations()) {
    const bool of_interest = done.operation == FileOperation::append ||
                             done.operation == FileOperation::sync ||
                             done.operation == FileOperation::rename ||
                             (done.operation == FileOperation::sync_directory &&
                              done.path == blobs->path_of(sha256("second")).parent_path());
    if (of_interest) order.emplace_back(to_string(done.operation));
  }
  ASSERT_GE(order.size(), 4U);
  order.erase(order.begin(), order.end() - 4);
  EXPECT_THAT(order, ::testing::ElementsAre("append", "sync", "rename", "sync_directory"));
}

// How often a blob that finish() promised is gone after a power cut at any later moment, or a name
// holds something else than its bytes.
int broken_promises(bool disk_lies) {
  int broken = 0;
  for (std::uint64_t at = 1; at < 40; ++at) {
    for (const std::uint64_t seed : {0U, 1U, 2U}) {
      PowerLossFiles disk;
      TestEnv world(1, disk);
      auto opened = Blobs::open(world, "/store");
      if (!opened || !write(**opened, "kept before")) return -1;
      disk.ignore_file_syncs(disk_lies);
      disk.cut_power_at(at, {seed == 0 ? std::nullopt : std::optional(seed)});

      const bool promised = write(**opened, "in question").ok();

      if (disk.is_on()) disk.cut_power();
      disk.power_on();
      opened = Blobs::open(world, "/store");
      if (!opened || read(**opened, "kept before").value() != "kept before") return -1;
      const auto found = read(**opened, "in question");
      if ((promised && !found) || (found && *found != "in question")) ++broken;
    }
  }
  return broken;
}

TEST(BlobsUnderPowerCuts, AreThereOncePromisedAndWholeWheneverThere) {
  EXPECT_EQ(broken_promises(false), 0);
}

// The test above would see a promise made too early.
TEST(BlobsUnderPowerCuts, AreMissedOnADiskThatLies) {
  EXPECT_GT(broken_promises(true), 0);
}

TEST_F(BlobsOnADisk, GiveABlobUpWhenItsSyncFails) {
  files.fail_next_sync();

  EXPECT_FALSE(write(*blobs, "text").ok());

  EXPECT_FALSE(read(*blobs, "text").ok());
  EXPECT_THAT(write(*blobs, "text"), IsOk());
  EXPECT_TRUE(env.fatals().empty());
}

TEST_F(BlobsOnADisk, AreFatalWhenAFolderCannotBeSynced) {
  ASSERT_THAT(write(*blobs, "text"), IsOk());  // makes the folder
  files.fail_next_directory_sync();

  EXPECT_THAT(write(*blobs, "text"), FailsWith("datastore.io", Fate::fatal));

  EXPECT_EQ(env.fatals().size(), 1U);
}

TEST_F(BlobsOnADisk, LeaveNothingBehindWhenNotFinished) {
  {
    ASSERT_OK_AND_ASSIGN(const auto writer, blobs->begin());
    ASSERT_THAT(writer->append(as_bytes("half")), IsOk());
  }

  EXPECT_TRUE(files.list("/store/parts").value().empty());
}

TEST_F(BlobsOnADisk, RemovePartFilesOfAnEarlierRun) {
  ASSERT_OK_AND_ASSIGN(auto left,
                       files.open("/store/parts/left.part", FileSystem::Mode::create_new));

  blobs = open();

  EXPECT_TRUE(files.list("/store/parts").value().empty());
}

TEST_F(BlobsOnADisk, SweepOnlyWhatIsNeitherNamedNorPinned) {
  ASSERT_OK_AND_ASSIGN(const BlobPin pinned, write(*blobs, "pinned"));
  ASSERT_THAT(write(*blobs, "named"), IsOk());
  ASSERT_THAT(write(*blobs, "garbage"), IsOk());

  const auto removed =
      blobs->sweep([](const Digest& digest) -> Result<bool> { return digest == sha256("named"); });

  EXPECT_EQ(removed.value(), 1U);
  EXPECT_THAT(read(*blobs, "pinned"), IsOk());
  EXPECT_THAT(read(*blobs, "named"), IsOk());
  EXPECT_FALSE(read(*blobs, "garbage").ok());
}

TEST_F(BlobsOnADisk, KeepReadersOfARemovedBlobGoing) {
  ASSERT_THAT(write(*blobs, "text"), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto source, blobs->read(sha256("text"), 1, 2));

  ASSERT_THAT(blobs->collect(sha256("text"), [](const Digest&) -> Result<bool> { return false; }),
              IsOk());

  EXPECT_EQ(read_all(*source, 10).value(), "ex");
}

}  // namespace
}  // namespace isthmus::datastore
