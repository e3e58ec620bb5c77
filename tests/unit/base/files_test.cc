#include <algorithm>

#include "base/env.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus {
namespace {

using test::FailsWith;
using test::IsOk;

TEST(PosixFiles, AppendsSyncsRenamesAndReadsBack) {
  test::TempFolder folder;
  FileSystem& files = posix_files();
  {
    ASSERT_OK_AND_ASSIGN(const auto file,
                         files.open(folder.path() / "a.part", FileSystem::Mode::create_new));
    ASSERT_THAT(file->append(as_bytes("abc")), IsOk());
    ASSERT_THAT(file->append(as_bytes("def")), IsOk());
    ASSERT_THAT(file->sync(), IsOk());
  }
  ASSERT_THAT(files.rename(folder.path() / "a.part", folder.path() / "a"), IsOk());
  ASSERT_THAT(files.sync_directory(folder.path()), IsOk());

  ASSERT_OK_AND_ASSIGN(auto file, files.open(folder.path() / "a", FileSystem::Mode::read_only));
  ASSERT_OK_AND_ASSIGN(const auto size, file->size());
  const auto source = source_of_file(std::move(file), 1, size - 1);
  ASSERT_OK_AND_ASSIGN(const std::string text, read_all(*source, 100));
  EXPECT_EQ(text, "bcdef");
}

TEST(PosixFiles, NamesWhatIsWrong) {
  test::TempFolder folder;
  FileSystem& files = posix_files();
  ASSERT_THAT(files.open(folder.path() / "a", FileSystem::Mode::create_new), IsOk());

  EXPECT_THAT(files.open(folder.path() / "a", FileSystem::Mode::create_new),
              FailsWith("disk.exists"));
  EXPECT_THAT(files.open(folder.path() / "b", FileSystem::Mode::read_only),
              FailsWith("disk.not_found"));
  EXPECT_THAT(files.remove(folder.path() / "b"), FailsWith("disk.not_found"));
}

TEST(PosixFiles, MakesFoldersWithTheirParents) {
  test::TempFolder folder;
  FileSystem& files = posix_files();

  ASSERT_THAT(files.create_directories(folder.path() / "x" / "y" / "z"), IsOk());
  ASSERT_THAT(files.create_directories(folder.path() / "x" / "y" / "z"), IsOk());

  ASSERT_OK_AND_ASSIGN(const auto names, files.list(folder.path() / "x"));
  EXPECT_THAT(names, testing::ElementsAre("y"));
}

}  // namespace
}  // namespace isthmus
