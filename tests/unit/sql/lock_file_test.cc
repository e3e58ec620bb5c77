#include "sql/lock_file.h"

#include <gtest/gtest.h>

#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::sql {
namespace {

using test::FailsWith;
using test::IsOk;

TEST(LockFile, HasOneHolderAtATime) {
  const test::TestEnv env;
  {
    ASSERT_OK_AND_ASSIGN(const LockFile held, LockFile::acquire(env.folder() / "lock", "test"));

    EXPECT_THAT(LockFile::acquire(env.folder() / "lock", "test"),
                FailsWith("test.locked", Fate::permanent));
  }

  EXPECT_THAT(LockFile::acquire(env.folder() / "lock", "test"), IsOk());
}

TEST(LockFile, MovesWithItsHolder) {
  const test::TestEnv env;
  ASSERT_OK_AND_ASSIGN(LockFile first, LockFile::acquire(env.folder() / "lock", "test"));

  const LockFile second = std::move(first);

  EXPECT_THAT(LockFile::acquire(env.folder() / "lock", "test"), FailsWith("test.locked"));
}

TEST(LockFile, ADirectoryThatIsNotThereIsFatal) {
  const test::TestEnv env;

  EXPECT_THAT(LockFile::acquire(env.folder() / "none" / "lock", "test"),
              FailsWith("test.io", Fate::fatal));
}

}  // namespace
}  // namespace isthmus::sql
