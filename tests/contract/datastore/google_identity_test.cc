// Who is let in with a key of the service account, or with a token of the identity provider.
#include <fstream>

#include "auth/jwt.h"
#include "contract/datastore/store_kit.h"
#include "datastore/google_keys.h"
#include "support/identity_provider.h"

namespace isthmus {
namespace {

using nlohmann::json;
using test::Answer;
using test::StoreKit;

constexpr const char* kEmail = "isthmus@isthmus.iam.gserviceaccount.com";
constexpr const char* kTokenUri = "https://oauth2.googleapis.com/token";
constexpr const char* kForm = "application/x-www-form-urlencoded";
constexpr const char* kRsa = R"({"alg":"RS256","kid":"r1"})";

// Keys take time to make: one provider for all.
const test::IdentityProvider& provider() {
  static const test::IdentityProvider one;
  return one;
}

class GoogleIdentity : public ::testing::Test {
 protected:
  void SetUp() override { write_keys(provider().jwks()); }
  void write_keys(const std::string& jwks) {
    std::ofstream(kit.env().folder() / "store" / datastore::kGoogleKeysFile) << jwks;
  }
  std::int64_t now() {
    return std::chrono::duration_cast<std::chrono::seconds>(
               kit.env().clock.wall_now().time_since_epoch())
        .count();
  }
  json claims(const std::string& audience) {
    return {{"iss", kEmail}, {"aud", audience}, {"iat", now()}, {"exp", now() + 3600}};
  }
  static std::string signed_jwt(const json& claims) {
    return provider().token(kRsa, claims.dump(), "RS256");
  }
  Answer grant(const std::string& assertion) {
    return kit.raw(kit.request(
        "POST", "/token",
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=" + assertion,
        {{"Content-Type", kForm}}));
  }
  int list_buckets(const std::string& token) {
    return kit
        .raw(kit.request("GET", "/storage/v1/b?project=p", "", {{"Authorization", scheme + token}}))
        .status;
  }
  std::string scheme = "Bearer ";
  StoreKit kit;
};

TEST_F(GoogleIdentity, AGrantIsChangedForAToken) {
  const Answer answer = grant(signed_jwt(claims(kTokenUri)));

  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.json().value("token_type", ""), "Bearer");
  EXPECT_EQ(answer.json().value("expires_in", 0), 3599);
  EXPECT_EQ(answer.headers.get("Cache-Control"), "no-store");
  const std::string token = answer.json().value("access_token", "");
  EXPECT_EQ(list_buckets(token), 200);
  scheme = "bearer ";
  EXPECT_EQ(list_buckets(token), 200);
  kit.env().clock.advance(Milliseconds(3'600'000));
  EXPECT_EQ(list_buckets(token), 401);
}

TEST_F(GoogleIdentity, TheKeyFilesOwnEndpointIsAnAudienceAsWell) {
  EXPECT_EQ(grant(signed_jwt(claims("http://store.test/token"))).status, 200);
}

TEST_F(GoogleIdentity, AGrantThatIsNotOneIsRefused) {
  json other_issuer = claims(kTokenUri), too_long = claims(kTokenUri), late = claims(kTokenUri);
  other_issuer["iss"] = "somebody@isthmus.iam.gserviceaccount.com";
  too_long["exp"] = now() + 7200;
  late["exp"] = now() - 120;
  std::string forged = signed_jwt(claims(kTokenUri));
  forged[forged.size() - 10] = forged[forged.size() - 10] == 'A' ? 'B' : 'A';

  for (const std::string& assertion :
       {signed_jwt(other_issuer), signed_jwt(too_long), signed_jwt(late), forged,
        signed_jwt(claims("https://other.test/token")), signed_jwt(claims("http://store.test/")),
        std::string("no token"), std::string()}) {
    const Answer answer = grant(assertion);
    EXPECT_EQ(answer.status, 400) << assertion;
    EXPECT_EQ(answer.json().value("error", ""), "invalid_grant") << answer.body;
  }
  const Answer password =
      kit.raw(kit.request("POST", "/token", "grant_type=password", {{"Content-Type", kForm}}));
  EXPECT_EQ(password.json().value("error", ""), "unsupported_grant_type");
}

TEST_F(GoogleIdentity, ASelfSignedTokenIsOneItself) {
  json for_api = claims("https://healthcare.googleapis.com/"),
       for_us = claims("http://store.test/");
  json scoped = claims("");
  for (json* one : {&for_api, &for_us, &scoped}) (*one)["sub"] = kEmail;
  scoped.erase("aud");
  json aimless = scoped, for_others = for_api, grant = claims(kTokenUri), of_others = for_us;
  scoped["scope"] = "https://www.googleapis.com/auth/cloud-platform";
  for_others["aud"] = "http://store.test.evil.example/";
  grant["sub"] = kEmail;
  of_others["sub"] = "somebody";

  for (const json& good : {for_api, for_us, scoped}) {
    EXPECT_EQ(list_buckets(signed_jwt(good)), 200) << good;
  }
  for (const json& bad : {aimless, for_others, grant, of_others}) {
    EXPECT_EQ(list_buckets(signed_jwt(bad)), 401) << bad;
  }
}

TEST_F(GoogleIdentity, AKeyThatWasRemovedOpensNothing) {
  ASSERT_EQ(grant(signed_jwt(claims(kTokenUri))).status, 200);
  write_keys(R"({"keys":[]})");
  kit.env().clock.advance(Milliseconds(6'000));

  EXPECT_EQ(grant(signed_jwt(claims(kTokenUri))).status, 400);
}

TEST_F(GoogleIdentity, KeysAreMadeListedAndRemoved) {
  const auto folder = kit.env().folder() / "keys";
  ASSERT_OK_AND_ASSIGN(const std::string text,
                       datastore::add_google_key(kit.env(), folder, {"p1", "http://x:1", "u"}));
  const json file = json::parse(text, nullptr, false);

  EXPECT_EQ(file.value("client_email", ""), "isthmus@p1.iam.gserviceaccount.com");
  EXPECT_EQ(file.value("token_uri", ""), "http://x:1/token");
  EXPECT_TRUE(file.value("private_key", "").starts_with("-----BEGIN PRIVATE KEY-----"));
  const std::string id = file.value("private_key_id", "");
  EXPECT_THAT(datastore::google_key_ids(kit.env(), folder).value(), testing::ElementsAre(id));
  EXPECT_THAT(datastore::remove_google_key(kit.env(), folder, "none"),
              test::FailsWith("datastore.no_such_google_key"));
  EXPECT_THAT(datastore::remove_google_key(kit.env(), folder, id), test::IsOk());
  EXPECT_THAT(datastore::google_key_ids(kit.env(), folder).value(), testing::IsEmpty());
}

// The keys of the identity provider, as the gateway would have them.
class FixedKeys : public auth::KeySource {
 public:
  Result<Keys> keys(bool) override { return keys_; }

 private:
  const Keys keys_ = std::make_shared<const std::vector<auth::NamedKey>>(
      auth::parse_jwks(provider().jwks()).value());
};

TEST(Oidc, OpensDicomWebAndTheGoogleFacesWithItsScope) {
  test::TestEnv env{1};
  FixedKeys keys;
  auth::JwtVerifier verifier(env, keys, {"https://id.example", "isthmus", "scope"});
  datastore::DataStoreOptions options;
  options.identity_provider = &verifier;
  StoreKit kit(options);
  const std::string store = kit.make_data_store();
  const auto status = [&](const std::string& scope, const std::string& target) {
    const auto until =
        std::chrono::duration_cast<std::chrono::seconds>(env.clock.wall_now().time_since_epoch())
            .count() +
        300;
    const json claims = {{"iss", "https://id.example"},
                         {"aud", "isthmus"},
                         {"sub", "viewer"},
                         {"scope", scope},
                         {"exp", until}};
    return kit
        .raw(kit.request(
            "GET", target, "",
            {{"Authorization", "Bearer " + provider().token(kRsa, claims.dump(), "RS256")}}))
        .status;
  };

  EXPECT_EQ(status("read datastore", "/datastore/" + store + "/studies"), 200);
  EXPECT_EQ(status("read", "/datastore/" + store + "/studies"), 403);
  EXPECT_EQ(status("datastore", "/storage/v1/b?project=p"), 200);
  EXPECT_EQ(status("read", "/storage/v1/b?project=p"), 401);
  EXPECT_EQ(status("datastore", "/datastore/" + store), 403);  // HealthImaging itself is signed
}

}  // namespace
}  // namespace isthmus
