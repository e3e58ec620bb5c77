#include "api/gatekeeper.h"

#include <gmock/gmock.h>

#include "support/identity_provider.h"
#include "support/matchers.h"
#include "support/memory_access_rows.h"
#include "support/test_env.h"

namespace isthmus::api {
namespace {

using test::FailsWith;
using test::IsOk;

http::Head head_with(std::string name, std::string value) {
  http::Head head{"GET", "/v1/studies", {{"Host", "127.0.0.1:8080"}}, "127.0.0.1", std::nullopt};
  head.headers.set(name, std::move(value));
  return head;
}

class Gatekeepers : public testing::Test {
 protected:
  test::TestEnv env_;
};

TEST_F(Gatekeepers, WhereNobodyIsAskedEverybodyIsLocal) {
  Gatekeeper gatekeeper(env_, {.ask_nobody = true, .control_token = "the-token"});

  for (const char* host : {"127.0.0.1:8080", "localhost", "localhost:1", "[::1]:8080"}) {
    ASSERT_OK_AND_ASSIGN(const Caller caller, gatekeeper.identify(head_with("Host", host)));
    EXPECT_EQ(caller.name, "local");
    EXPECT_EQ(caller.how, Authentication::local);
    EXPECT_EQ(caller.scopes, Scopes::all());
    EXPECT_EQ(caller.address, "127.0.0.1");
  }
}

TEST_F(Gatekeepers, WebPagesOfOthersAreNotLocal) {
  Gatekeeper gatekeeper(env_, {.ask_nobody = true});

  for (const char* host : {"rebound.example", "127.0.0.1.example", "127.evil:8080", "", "[::1"}) {
    EXPECT_THAT(gatekeeper.identify(head_with("Host", host)), FailsWith("api.bad_host")) << host;
  }
  for (const char* origin : {"https://evil.example", "http://127.0.0.1:9", "null"}) {
    EXPECT_THAT(gatekeeper.identify(head_with("Origin", origin)), FailsWith("api.bad_host"));
  }
  EXPECT_THAT(gatekeeper.identify(head_with("Origin", "http://127.0.0.1:8080")), IsOk());
}

TEST_F(Gatekeepers, KnowsTheCommandLineByItsToken) {
  for (const bool ask_nobody : {false, true}) {
    Gatekeeper gatekeeper(env_, {ask_nobody, "the-token"});

    ASSERT_OK_AND_ASSIGN(const Caller caller,
                         gatekeeper.identify(head_with("Authorization", "Bearer the-token")));

    EXPECT_EQ(caller.how, Authentication::control_token);
    EXPECT_EQ(caller.scopes, Scopes::all());
  }
}

TEST_F(Gatekeepers, AHostSpeaksForAUserWhoMayDoLess) {
  Gatekeeper gatekeeper(env_, {.control_token = "the-token"});
  const auto identify = [&](const char* token, const char* said) {
    http::Head head = head_with("Authorization", token);
    head.headers.add(api::kOnBehalfOfHeader, said);
    return gatekeeper.identify(head);
  };

  ASSERT_OK_AND_ASSIGN(const Caller jane,
                       identify("Bearer the-token", "read operate;orthanc/jane"));
  EXPECT_EQ(jane.name, "orthanc/jane");
  EXPECT_EQ(jane.scopes, (Scopes{Scope::read, Scope::operate}));
  ASSERT_OK_AND_ASSIGN(const Caller nobody, identify("Bearer the-token", ";orthanc/nobody"));
  EXPECT_TRUE(nobody.scopes.empty());
  for (const char* said : {"", "admin", "admin;", "superuser;orthanc/jane"}) {
    EXPECT_FALSE(identify("Bearer the-token", said).ok()) << said;
  }
  EXPECT_THAT(identify("Bearer another", "read;orthanc/jane"), FailsWith("api.unauthorized"));
}

TEST_F(Gatekeepers, TheSchemeMayBeInEitherCase) {
  Gatekeeper gatekeeper(env_, {true, "the-token"});
  for (const char* shown : {"bearer the-token", "BEARER the-token", "bEARER the-token"}) {
    EXPECT_THAT(gatekeeper.identify(head_with("Authorization", shown)), IsOk()) << shown;
  }
}

TEST_F(Gatekeepers, AWrongTokenIsNobodyEvenWhereNobodyIsAsked) {
  for (const bool ask_nobody : {false, true}) {
    Gatekeeper gatekeeper(env_, {ask_nobody, "the-token"});
    for (const char* shown :
         {"Bearer the-toke", "Bearer the-token2", "Bearer ", "the-token", "Basic dGhlLXRva2Vu",
          "Bearer", "bearerthe-token", "Bearer THE-TOKEN"}) {
      EXPECT_THAT(gatekeeper.identify(head_with("Authorization", shown)),
                  FailsWith("api.unauthorized"))
          << shown;
    }
  }
}

TEST_F(Gatekeepers, AnEmptyControlTokenOpensNothing) {
  Gatekeeper gatekeeper(env_, {});

  EXPECT_THAT(gatekeeper.identify(head_with("Authorization", "Bearer ")),
              FailsWith("api.unauthorized"));
  EXPECT_THAT(gatekeeper.identify(head_with("X", "y")), FailsWith("api.unauthorized"));
}

TEST_F(Gatekeepers, KnowsTokensByTheBook) {
  test::MemoryAccessRows rows;
  TokenBook book(env_, rows);
  Gatekeeper gatekeeper(env_, {.control_token = "the-token"}, &book);
  ASSERT_OK_AND_ASSIGN(const auto issued, book.issue("desk", {Scope::read}, Milliseconds(1000)));
  const auto identify = [&] {
    return gatekeeper.identify(head_with("Authorization", "Bearer " + issued.token));
  };

  ASSERT_OK_AND_ASSIGN(const Caller caller, identify());
  EXPECT_EQ(caller.name, "desk");
  EXPECT_EQ(caller.how, Authentication::token);
  EXPECT_EQ(caller.scopes, Scopes{Scope::read});
  env_.clock.advance(Milliseconds(1000));
  EXPECT_THAT(identify(), FailsWith("api.expired"));
  ASSERT_THAT(book.revoke("desk"), IsOk());
  EXPECT_THAT(identify(), FailsWith("api.unauthorized"));
}

class FileKeys : public auth::KeySource {
 public:
  explicit FileKeys(const test::IdentityProvider& provider)
      : keys_(std::make_shared<const std::vector<auth::NamedKey>>(
            auth::parse_jwks(provider.jwks()).value())) {}
  Result<Keys> keys(bool) override { return keys_; }

 private:
  const Keys keys_;
};

TEST_F(Gatekeepers, KnowsJwtsAndTheScopesInThem) {
  const test::IdentityProvider provider;
  FileKeys keys(provider);
  auth::JwtVerifier verifier(env_, keys, {"https://id.example", "isthmus", "scope"});
  Gatekeeper gatekeeper(env_, {.oidc_scope_prefix = "isthmus."}, nullptr, &verifier);
  const auto identify = [&](const std::string& claims) {
    return gatekeeper.identify(head_with(
        "Authorization", "Bearer " + provider.token(R"({"alg":"ES256"})", claims, "ES256")));
  };

  ASSERT_OK_AND_ASSIGN(const Caller caller,
                       identify(R"({"iss":"https://id.example","aud":"isthmus","sub":"u1",)"
                                R"("scope":"openid admin isthmus.read isthmus.x","exp":1e10})"));
  EXPECT_EQ(caller.name, "u1");
  EXPECT_EQ(caller.how, Authentication::oidc);
  EXPECT_EQ(caller.scopes, Scopes{Scope::read});
  EXPECT_THAT(identify(R"({"iss":"https://id.example","aud":"isthmus","sub":"u1","exp":5})"),
              FailsWith("api.expired"));
  EXPECT_THAT(identify(R"({"iss":"https://id.example","aud":"other","sub":"u1","exp":1e10})"),
              FailsWith("api.unauthorized"));
  EXPECT_THAT(env_.metrics->text(), testing::HasSubstr("code=\"auth.jwt_audience\""));
}

TEST_F(Gatekeepers, AnAddressThatFailsTooOftenWaits) {
  Gatekeeper gatekeeper(env_, {.control_token = "the-token", .failures_per_minute = 3});
  const auto identify = [&](const char* token, const char* address) {
    http::Head head = head_with("Authorization", std::string("Bearer ") + token);
    head.peer_address = address;
    return gatekeeper.identify(head);
  };
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(identify("wrong", "10.0.0.1"), FailsWith("api.unauthorized"));
  }

  EXPECT_THAT(identify("the-token", "10.0.0.1"), FailsWith("api.too_many_failures"));
  EXPECT_THAT(identify("the-token", "10.0.0.2"), IsOk());
  env_.clock.advance(Milliseconds(60'000));
  EXPECT_THAT(identify("the-token", "10.0.0.1"), IsOk());
}

TEST(Exposure, BeyondLoopbackCallersAreAskedAndTalkTls) {
  for (const char* address : {"127.0.0.1", "127.8.8.8", "::1"}) {
    EXPECT_THAT(check_exposure(address, false, false), IsOk());
  }
  for (const char* address : {"0.0.0.0", "::", "10.1.2.3", "127.0.0.1.example", ""}) {
    EXPECT_THAT(check_exposure(address, false, false), FailsWith("api.exposed")) << address;
    EXPECT_THAT(check_exposure(address, true, false), FailsWith("api.exposed"));
    EXPECT_THAT(check_exposure(address, false, true), FailsWith("api.exposed"));
    EXPECT_THAT(check_exposure(address, true, true), IsOk());
  }
}

}  // namespace
}  // namespace isthmus::api
