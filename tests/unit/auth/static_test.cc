#include "auth/credentials.h"
#include "support/matchers.h"

namespace isthmus {
namespace {

TEST(StaticCredentials, GiveWhatWasConfigured) {
  const auto source = make_static_credentials({"id", "secret", "token", std::nullopt});

  ASSERT_OK_AND_ASSIGN(const Credentials given, source->credentials());

  EXPECT_EQ(given.access_key_id, "id");
  EXPECT_EQ(given.secret_access_key, "secret");
  EXPECT_EQ(given.session_token, "token");
}

TEST(StaticCredentials, SayWhenThereAreNone) {
  EXPECT_THAT(make_static_credentials({})->credentials(),
              test::FailsWith("auth.no_credentials", Fate::transient));
  EXPECT_THAT(make_static_credentials({"id", "", "", std::nullopt})->credentials(),
              test::FailsWith("auth.no_credentials", Fate::transient));
}

}  // namespace
}  // namespace isthmus
