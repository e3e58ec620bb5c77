#include "app/upload_book.h"

#include <gmock/gmock.h>

#include "support/matchers.h"
#include "support/memory_ledger.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

using app::UploadBook;

class Uploads : public testing::Test {
 protected:
  UploadBook open() { return UploadBook(env, ledger.receiver_rows(), "cloud"); }

  TestEnv env;
  MemoryLedger ledger{env, {"cloud"}};
  const ObjectKey key{"pre/b1/in/1.dcm"};
  const UploadSession session{"/upload?id=1", sha256("bytes"), 5};
};

TEST_F(Uploads, AreFoundByAnotherProcess) {
  {
    UploadBook book = open();
    ASSERT_THAT(book.keep(key, session), IsOk());
  }
  UploadBook book = open();

  ASSERT_OK_AND_ASSIGN(const auto found, book.find(key));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->token, session.token);
  EXPECT_EQ(found->digest, session.digest);
  EXPECT_EQ(found->size_bytes, 5U);
  EXPECT_FALSE(*book.find(ObjectKey{"another"}));
}

TEST_F(Uploads, AreGoneForGoodWhenForgotten) {
  UploadBook book = open();
  ASSERT_THAT(book.keep(key, session), IsOk());
  ASSERT_THAT(book.forget(key), IsOk());
  ASSERT_THAT(book.forget(key), IsOk());

  EXPECT_FALSE(*book.find(key));
  EXPECT_FALSE(*open().find(key));
}

TEST_F(Uploads, AreOfOneDestination) {
  UploadBook book = open();
  ASSERT_THAT(book.keep(key, session), IsOk());

  UploadBook other(env, ledger.receiver_rows(), "other");
  EXPECT_FALSE(*other.find(key));
}

TEST_F(Uploads, LastNoLongerThanTheirSessions) {
  UploadBook book = open();
  ASSERT_THAT(book.keep(key, session), IsOk());
  env.clock.advance(std::chrono::hours(8 * 24));

  EXPECT_FALSE(*book.find(key));
  ASSERT_THAT(book.keep(ObjectKey{"another"}, session), IsOk());
  EXPECT_EQ(ledger.receiver_rows().mark("uploads:cloud")->value().find(key.text),
            std::string::npos);
}

TEST_F(Uploads, StartOverWhenTheirMarkCannotBeRead) {
  ASSERT_THAT(ledger.receiver_rows().keep_mark("uploads:cloud", "[{\"key\":7}, nonsense"), IsOk());
  UploadBook book = open();

  EXPECT_FALSE(*book.find(key));
  EXPECT_THAT(book.keep(key, session), IsOk());
}

}  // namespace
}  // namespace isthmus::test
