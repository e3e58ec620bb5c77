#include "auth/jwks.h"

#include <gmock/gmock.h>

#include <fstream>

#include "support/identity_provider.h"
#include "support/matchers.h"
#include "support/scripted_transport.h"
#include "support/test_env.h"

namespace isthmus::auth {
namespace {

using test::FailsWith;
using test::IsOk;

const test::IdentityProvider& provider() {
  static const test::IdentityProvider one;
  return one;
}

TEST(JwkSet, HasTheKeysThatCanVerify) {
  ASSERT_OK_AND_ASSIGN(const auto keys, parse_jwks(provider().jwks()));

  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[0].id, "r1");
  EXPECT_EQ(keys[0].key->algorithm(), SignatureAlgorithm::rs256);
  EXPECT_EQ(keys[1].id, "e1");
  EXPECT_EQ(keys[1].key->algorithm(), SignatureAlgorithm::es256);
}

TEST(JwkSet, PassesOverWhatItMayNotUse) {
  const std::string weak(170, 'A');  // a modulus of 1,020 bits at most
  for (const std::string& key :
       {std::string(R"({"kty":"oct","k":"c2VjcmV0"})"), std::string("7"), std::string("{}"),
        R"({"kty":"RSA","e":"AQAB","n":"z)" + weak + "\"}",
        std::string(R"({"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"})"),
        R"({"kty":"EC","crv":"P-256","x":")" + std::string(43, 'A') + R"(","y":")" +
            std::string(43, 'A') + "\"}",
        R"({"kty":"RSA","use":"enc","e":"AQAB","n":")" + provider().rsa_modulus() + "\"}",
        R"({"kty":"RSA","alg":"RS512","e":"AQAB","n":")" + provider().rsa_modulus() + "\"}",
        R"({"kty":"RSA","e":"AQ","n":")" + provider().rsa_modulus() + "\"}"}) {
    EXPECT_THAT(parse_jwks("{\"keys\":[" + key + "]}"), FailsWith("auth.bad_keys")) << key;
  }
}

TEST(JwkSet, IsNoSetWithoutKeysOrWithTooMany) {
  for (const char* text : {"", "[]", "{}", R"({"keys":{}})", R"({"keys":[]})", "{\"keys\":"}) {
    EXPECT_THAT(parse_jwks(text), FailsWith("auth.bad_keys")) << text;
  }
  std::string many = "{\"keys\":[{}";
  for (int i = 0; i < 64; ++i) many += ",{}";
  EXPECT_THAT(parse_jwks(many + "]}"), FailsWith("auth.bad_keys"));
}

class KeysOfUrl : public testing::Test {
 protected:
  test::TestEnv env_;
  test::ScriptedTransport transport_;
  std::unique_ptr<KeySource> source_ =
      make_key_source(env_, &transport_, {.url = "https://id.example/keys"});
};

TEST_F(KeysOfUrl, AreKeptForAWhile) {
  transport_.answers(200, provider().jwks()).answers(200, provider().jwks());

  EXPECT_THAT(source_->keys(false), IsOk());
  EXPECT_THAT(source_->keys(false), IsOk());
  EXPECT_EQ(transport_.seen().size(), 1u);
  EXPECT_EQ(transport_.last().url, "https://id.example/keys");
  env_.clock.advance(Milliseconds(300'000));
  EXPECT_THAT(source_->keys(false), IsOk());
  EXPECT_EQ(transport_.seen().size(), 2u);
}

TEST_F(KeysOfUrl, AnUnknownKeyBringsOneLookEachTenSeconds) {
  transport_.answers(200, provider().jwks()).answers(200, provider().jwks());
  ASSERT_THAT(source_->keys(false), IsOk());

  for (int i = 0; i < 5; ++i) EXPECT_THAT(source_->keys(true), IsOk());
  EXPECT_EQ(transport_.seen().size(), 1u);
  env_.clock.advance(Milliseconds(10'000));
  for (int i = 0; i < 5; ++i) EXPECT_THAT(source_->keys(true), IsOk());
  EXPECT_EQ(transport_.seen().size(), 2u);
}

TEST_F(KeysOfUrl, OldKeysServeADayWithoutTheProvider) {
  transport_.answers(200, provider().jwks())
      .fails(transient_error("http.connect", "no"))
      .answers(500)
      .answers(200, "<html>");
  ASSERT_THAT(source_->keys(false), IsOk());

  env_.clock.advance(Milliseconds(300'000));
  EXPECT_THAT(source_->keys(false), IsOk());
  env_.clock.advance(Milliseconds(86'000'000));
  EXPECT_THAT(source_->keys(false), IsOk());
  env_.clock.advance(Milliseconds(400'000));
  EXPECT_THAT(source_->keys(false), FailsWith("auth.keys_unavailable", Fate::transient));
  EXPECT_TRUE(env_.log.contains("auth.keys_not_read"));
}

TEST_F(KeysOfUrl, WithoutAnyThereIsNothingToVerifyBy) {
  transport_.answers(404);

  EXPECT_THAT(source_->keys(false), FailsWith("auth.keys_unavailable", Fate::transient));
  EXPECT_THAT(source_->keys(false), FailsWith("auth.keys_unavailable", Fate::transient));
}

TEST(KeysOfFile, AreReadAgainWhenTheyAreOld) {
  test::TestEnv env;
  const auto path = env.folder() / "keys.json";
  const auto source = make_key_source(env, nullptr, {.file = path});
  EXPECT_THAT(source->keys(false), FailsWith("auth.keys_unavailable"));
  std::ofstream(path) << provider().jwks();
  env.clock.advance(Milliseconds(10'000));

  ASSERT_OK_AND_ASSIGN(const auto keys, source->keys(false));

  EXPECT_EQ(keys->size(), 2u);
}

}  // namespace
}  // namespace isthmus::auth
