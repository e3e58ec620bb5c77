#include "storage/upload_sessions.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "support/matchers.h"
#include "support/memory_upload_sessions.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

namespace fs = std::filesystem;

class Sessions : public testing::Test {
 protected:
  std::unique_ptr<UploadSessions> open(const char* destination = "cloud") {
    return std::move(*open_upload_sessions(env, env.folder() / destination));
  }
  std::vector<fs::path> files() {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(env.folder() / "cloud")) {
      found.push_back(entry.path());
    }
    return found;
  }

  TestEnv env;
  const ObjectKey key{"pre/b1/in/1.dcm"};
  const UploadSession session{"/upload?id=1", sha256("bytes"), 5};
};

TEST_F(Sessions, AreFoundByAnotherProcess) {
  ASSERT_THAT(open()->keep(key, session), IsOk());

  const auto sessions = open();

  ASSERT_OK_AND_ASSIGN(const auto found, sessions->find(key));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->token, session.token);
  EXPECT_EQ(found->digest, session.digest);
  EXPECT_EQ(found->size_bytes, 5U);
  EXPECT_FALSE(*sessions->find(ObjectKey{"another"}));
}

TEST_F(Sessions, AreGoneForGoodWhenForgotten) {
  const auto sessions = open();
  ASSERT_THAT(sessions->keep(key, session), IsOk());
  ASSERT_THAT(sessions->forget(key), IsOk());
  ASSERT_THAT(sessions->forget(key), IsOk());

  EXPECT_FALSE(*sessions->find(key));
  EXPECT_FALSE(*open()->find(key));
  EXPECT_TRUE(files().empty());
}

TEST_F(Sessions, AreReplacedByTheNextOfTheSameKey) {
  const auto sessions = open();
  ASSERT_THAT(sessions->keep(key, session), IsOk());
  ASSERT_THAT(sessions->keep(key, {"/upload?id=2", sha256("others"), 6}), IsOk());

  EXPECT_EQ((*sessions->find(key))->token, "/upload?id=2");
  EXPECT_EQ(files().size(), 1U);
}

TEST_F(Sessions, AreOfOneDestination) {
  ASSERT_THAT(open()->keep(key, session), IsOk());

  EXPECT_FALSE(*open("other")->find(key));
}

// Who has a session's address may write the object.
TEST_F(Sessions, AreReadByNobodyElse) {
  ASSERT_THAT(open()->keep(key, session), IsOk());

  constexpr auto kOthers = fs::perms::group_all | fs::perms::others_all;
  EXPECT_EQ(fs::status(env.folder() / "cloud").permissions() & kOthers, fs::perms::none);
  ASSERT_EQ(files().size(), 1U);
  EXPECT_EQ(fs::status(files()[0]).permissions() & kOthers, fs::perms::none);
  EXPECT_EQ(files()[0].string().find("1.dcm"), std::string::npos);
}

TEST_F(Sessions, LastNoLongerThanAWeekOfTheService) {
  ASSERT_THAT(open()->keep(key, session), IsOk());
  env.clock.advance(std::chrono::hours(6 * 24));
  ASSERT_THAT(open()->keep(ObjectKey{"another"}, session), IsOk());
  env.clock.advance(std::chrono::hours(2 * 24));

  const auto sessions = open();

  EXPECT_FALSE(*sessions->find(key));
  EXPECT_TRUE(*sessions->find(ObjectKey{"another"}));
}

TEST_F(Sessions, StartOverWhenTheirFileCannotBeRead) {
  const auto sessions = open();
  for (const char* damaged : {"", "\n", "one\ntwo\nthree\nfour\n", "{\"token\":7}"}) {
    ASSERT_THAT(sessions->keep(key, session), IsOk());
    const fs::path file = files().at(0);
    fs::resize_file(file, 0);
    ASSERT_OK_AND_ASSIGN(const auto opened,
                         posix_files().open(file, FileSystem::Mode::open_or_create));
    ASSERT_THAT(opened->append(as_bytes(std::string_view(damaged))), IsOk());

    ASSERT_OK_AND_ASSIGN(const auto found, sessions->find(key));
    EXPECT_FALSE(found.has_value()) << damaged;
    EXPECT_FALSE(*open()->find(key));
  }
}

}  // namespace
}  // namespace isthmus::test
