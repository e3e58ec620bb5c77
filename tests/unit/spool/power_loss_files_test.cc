// The fake disk must have teeth, and only the ones a real disk has: what stands on it is proved
// with it.
#include "support/power_loss_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/matchers.h"

namespace isthmus::test {
namespace {

using Mode = FileSystem::Mode;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class PowerLossFilesTest : public ::testing::Test {
 protected:
  PowerLossFilesTest() { EXPECT_THAT(files.create_directories("/d"), IsOk()); }

  std::unique_ptr<File> create(const FileSystem::Path& path, std::string_view text) {
    auto file = files.open(path, Mode::create_new);
    EXPECT_THAT(file, IsOk());
    EXPECT_THAT((*file)->append(as_bytes(text)), IsOk());
    return std::move(file).value();
  }
  std::string content(const FileSystem::Path& path) {
    auto file = files.open(path, Mode::read_only);
    if (!file.ok()) return file.error().code;
    Bytes bytes(1 * MiB);
    const auto length = (*file)->read_at(0, bytes);
    return std::string(as_text(ByteSpan(bytes).first(length.value())));
  }
  void cut(PowerCut what = {}) {
    files.cut_power(what);
    files.power_on();
  }

  PowerLossFiles files;
};

TEST_F(PowerLossFilesTest, ReadsBackWhatWasWritten) {
  const auto file = create("/d/a", "one");
  EXPECT_THAT(file->append(as_bytes(" two")), IsOk());
  EXPECT_THAT(file->write_at(0, as_bytes("O")), IsOk());

  EXPECT_EQ(content("/d/a"), "One two");
  EXPECT_EQ(file->size().value(), 7u);
}

TEST_F(PowerLossFilesTest, AnUnsyncedDirectoryLosesTheName) {
  EXPECT_THAT(create("/d/a", "one")->sync(), IsOk());

  cut();

  EXPECT_EQ(content("/d/a"), "disk.not_found");
}

TEST_F(PowerLossFilesTest, AnUnsyncedFileLosesItsBytes) {
  create("/d/a", "one");
  EXPECT_THAT(files.sync_directory("/d"), IsOk());

  cut();

  EXPECT_EQ(content("/d/a"), "");
}

TEST_F(PowerLossFilesTest, WithBothSyncedItSurvives) {
  const auto file = create("/d/a", "one");
  EXPECT_THAT(file->sync(), IsOk());
  EXPECT_THAT(files.sync_directory("/d"), IsOk());
  EXPECT_THAT(file->append(as_bytes(" lost")), IsOk());

  cut();

  EXPECT_EQ(content("/d/a"), "one");
}

TEST_F(PowerLossFilesTest, ARenameWithoutASyncIsUndone) {
  EXPECT_THAT(create("/d/a", "one")->sync(), IsOk());
  EXPECT_THAT(files.sync_directory("/d"), IsOk());
  EXPECT_THAT(files.rename("/d/a", "/d/b"), IsOk());
  EXPECT_EQ(content("/d/b"), "one");

  cut();

  EXPECT_THAT(files.list("/d").value(), ElementsAre("a"));
}

TEST_F(PowerLossFilesTest, ARenameOverAFileKeepsTheOldOneUntilTheSync) {
  EXPECT_THAT(create("/d/new", "new")->sync(), IsOk());
  EXPECT_THAT(create("/d/old", "old")->sync(), IsOk());
  EXPECT_THAT(files.sync_directory("/d"), IsOk());
  EXPECT_THAT(files.rename("/d/new", "/d/old"), IsOk());
  cut();
  EXPECT_EQ(content("/d/old"), "old");

  EXPECT_THAT(files.rename("/d/new", "/d/old"), IsOk());
  EXPECT_THAT(files.sync_directory("/d"), IsOk());
  cut();
  EXPECT_EQ(content("/d/old"), "new");
  EXPECT_THAT(files.list("/d").value(), ElementsAre("old"));
}

TEST_F(PowerLossFilesTest, ARemovalWithoutASyncIsUndone) {
  EXPECT_THAT(create("/d/a", "one")->sync(), IsOk());
  EXPECT_THAT(files.sync_directory("/d"), IsOk());
  EXPECT_THAT(files.remove("/d/a"), IsOk());
  cut();
  EXPECT_EQ(content("/d/a"), "one");

  EXPECT_THAT(files.remove("/d/a"), IsOk());
  EXPECT_THAT(files.sync_directory("/d"), IsOk());
  cut();
  EXPECT_THAT(files.list("/d").value(), IsEmpty());
}

TEST_F(PowerLossFilesTest, ARenameBetweenDirectoriesIsDurableByItsTarget) {
  EXPECT_THAT(files.create_directories("/e"), IsOk());
  EXPECT_THAT(create("/d/a", "one")->sync(), IsOk());
  EXPECT_THAT(files.rename("/d/a", "/e/b"), IsOk());
  EXPECT_THAT(files.sync_directory("/e"), IsOk());

  cut({.keep_some_seed = 1});

  EXPECT_THAT(files.list("/d").value(), IsEmpty());
  EXPECT_EQ(content("/e/b"), "one");
}

TEST_F(PowerLossFilesTest, AFailedSyncDropsItsBytesForGood) {
  const auto file = create("/d/a", std::string(8192, 'a'));
  EXPECT_THAT(files.sync_directory("/d"), IsOk());
  files.fail_next_sync();

  EXPECT_THAT(file->sync(), FailsWith("disk.io"));
  EXPECT_EQ(content("/d/a"), std::string(8192, 'a'));
  EXPECT_THAT(file->sync(), IsOk());
  cut();

  EXPECT_EQ(content("/d/a"), std::string(8192, '\0'));
}

TEST_F(PowerLossFilesTest, AFailedDirectorySyncDropsItsNamesForGood) {
  EXPECT_THAT(create("/d/a", "one")->sync(), IsOk());
  files.fail_next_directory_sync();

  EXPECT_THAT(files.sync_directory("/d"), FailsWith("disk.io"));
  EXPECT_THAT(files.sync_directory("/d"), IsOk());
  cut();

  EXPECT_EQ(content("/d/a"), "disk.not_found");
}

TEST_F(PowerLossFilesTest, ARandomCutKeepsSomeNamesAndSomePages) {
  std::size_t names_kept = 0, names_lost = 0, whole = 0, torn = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    PowerLossFiles disk;
    ASSERT_THAT(disk.create_directories("/d"), IsOk());
    auto file = disk.open("/d/a", Mode::create_new);
    ASSERT_THAT((*file)->append(as_bytes(std::string(64 * KiB, 'x'))), IsOk());

    disk.cut_power({.keep_some_seed = seed});
    disk.power_on();

    if (!disk.exists("/d/a").value()) {
      ++names_lost;
      continue;
    }
    ++names_kept;
    auto survivor = disk.open("/d/a", Mode::read_only);
    Bytes bytes(64 * KiB);
    const auto length = (*survivor)->read_at(0, bytes).value();
    const auto xs = std::count(bytes.begin(), bytes.end(), std::byte{'x'});
    ++(length == 64 * KiB && xs == 64 * KiB ? whole : torn);
  }

  EXPECT_GT(names_kept, 50u);
  EXPECT_GT(names_lost, 50u);
  EXPECT_GT(torn, 50u);
}

TEST_F(PowerLossFilesTest, FilesOpenedBeforeTheCutAreDead) {
  const auto file = create("/d/a", "one");
  EXPECT_THAT(files.sync_directory("/d"), IsOk());
  files.cut_power();
  EXPECT_THAT(files.list("/d"), FailsWith("disk.io"));
  EXPECT_THAT(file->sync(), FailsWith("disk.io"));

  files.power_on();

  EXPECT_THAT(file->append(as_bytes("two")), FailsWith("disk.io"));
  EXPECT_EQ(content("/d/a"), "");
}

TEST_F(PowerLossFilesTest, TheCutComesAtTheNamedChange) {
  files.cut_power_at(3, {});
  const auto file = create("/d/a", "one");  // 1: create, 2: append

  EXPECT_TRUE(files.is_on());
  EXPECT_THAT(file->sync(), FailsWith("disk.io"));
  EXPECT_FALSE(files.is_on());
}

TEST_F(PowerLossFilesTest, AFullDiskTakesWhatFitsAndGivesBackWhatIsRemoved) {
  files.set_free_bytes(5);
  const auto file = create("/d/a", "1234");

  EXPECT_THAT(file->append(as_bytes("5678")), FailsWith("disk.full", Fate::transient));
  EXPECT_EQ(content("/d/a"), "12345");
  EXPECT_EQ(files.space("/d")->free_bytes, 0u);

  EXPECT_THAT(files.remove("/d/a"), IsOk());
  EXPECT_EQ(files.space("/d")->free_bytes, 5u);
}

TEST_F(PowerLossFilesTest, ADiskThatLiesIsCaughtByTheCut) {
  files.ignore_file_syncs(true);
  EXPECT_THAT(create("/d/a", "one")->sync(), IsOk());
  EXPECT_THAT(files.sync_directory("/d"), IsOk());
  cut();
  EXPECT_EQ(content("/d/a"), "");

  files.ignore_file_syncs(false);
  files.ignore_directory_syncs(true);
  EXPECT_THAT(create("/d/b", "one")->sync(), IsOk());
  EXPECT_THAT(files.sync_directory("/d"), IsOk());
  cut();
  EXPECT_EQ(content("/d/b"), "disk.not_found");
}

TEST_F(PowerLossFilesTest, AnswersAsARealDiskDoes) {
  create("/d/a", "one");

  EXPECT_THAT(files.open("/d/a", Mode::create_new), FailsWith("disk.exists"));
  EXPECT_THAT(files.open("/d/none", Mode::read_only), FailsWith("disk.not_found"));
  EXPECT_THAT(files.open("/none/a", Mode::create_new), FailsWith("disk.not_found"));
  EXPECT_THAT(files.rename("/d/none", "/d/b"), FailsWith("disk.not_found"));
  EXPECT_THAT(files.remove("/d/none"), FailsWith("disk.not_found"));
  EXPECT_THAT(files.remove("/d"), FailsWith("disk.io"));
  EXPECT_THAT(files.list("/none"), FailsWith("disk.not_found"));
  EXPECT_THAT(files.open("/d/a", Mode::open_or_create), IsOk());
  EXPECT_EQ(content("/d/a"), "one");
}

TEST_F(PowerLossFilesTest, CountsAndLogsWhatWasDone) {
  files.forget_operations();

  EXPECT_THAT(create("/d/a", "one")->sync(), IsOk());
  EXPECT_THAT(files.rename("/d/a", "/d/b"), IsOk());
  files.fail_next_directory_sync();
  EXPECT_THAT(files.sync_directory("/d"), FailsWith("disk.io"));

  EXPECT_EQ(files.count(FileOperation::sync), 1u);
  EXPECT_EQ(files.count(FileOperation::sync_directory), 0u);
  std::vector<std::string> names;
  for (const auto& entry : files.operations()) names.emplace_back(to_string(entry.operation));
  EXPECT_THAT(names, ElementsAre("open", "append", "sync", "rename"));
}

}  // namespace
}  // namespace isthmus::test
