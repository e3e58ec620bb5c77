#include "api/access.h"

#include "support/matchers.h"

namespace isthmus::api {
namespace {

using test::FailsWith;

TEST(Scopes, AreWordsThereAndBack) {
  ASSERT_OK_AND_ASSIGN(const Scopes scopes, Scopes::parse("read-phi, operate  store"));

  EXPECT_EQ(scopes.text(), "store read-phi operate");
  EXPECT_EQ(Scopes::parse(scopes.text()).value(), scopes);
  EXPECT_EQ(Scopes::all().text(), "store read read-phi operate update admin");
}

TEST(Scopes, RefuseWhatIsNone) {
  for (const char* words : {"", " , ", "root", "read write", "Read"}) {
    EXPECT_THAT(Scopes::parse(words), FailsWith("api.bad_scope")) << words;
  }
}

TEST(Scopes, AdminDoesNotReadButReadPhiDoes) {
  EXPECT_FALSE(Scopes{Scope::admin}.has(Scope::read));
  EXPECT_TRUE(Scopes{Scope::read_phi}.has(Scope::read));
  EXPECT_FALSE(Scopes{Scope::read}.has(Scope::read_phi));
}

}  // namespace
}  // namespace isthmus::api
