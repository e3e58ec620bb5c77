#include "api/gatekeeper.h"

#include <gmock/gmock.h>

#include "support/matchers.h"

namespace isthmus::api {
namespace {

using test::FailsWith;
using test::IsOk;

http::Head head_with(std::string name, std::string value) {
  http::Head head{"GET", "/v1/studies", {{"Host", "127.0.0.1:8080"}}, "127.0.0.1", std::nullopt};
  head.headers.set(name, std::move(value));
  return head;
}

TEST(Gatekeeper, WhereNobodyIsAskedEverybodyIsLocal) {
  Gatekeeper gatekeeper({.ask_nobody = true, .control_token = "the-token"});

  for (const char* host : {"127.0.0.1:8080", "localhost", "localhost:1", "[::1]:8080"}) {
    ASSERT_OK_AND_ASSIGN(const Caller caller, gatekeeper.identify(head_with("Host", host)));
    EXPECT_EQ(caller.name, "local");
    EXPECT_EQ(caller.how, Authentication::local);
    EXPECT_EQ(caller.scopes, Scopes::all());
    EXPECT_EQ(caller.address, "127.0.0.1");
  }
}

TEST(Gatekeeper, WebPagesOfOthersAreNotLocal) {
  Gatekeeper gatekeeper({.ask_nobody = true});

  for (const char* host : {"rebound.example", "127.0.0.1.example", "127.evil:8080", "", "[::1"}) {
    EXPECT_THAT(gatekeeper.identify(head_with("Host", host)), FailsWith("api.bad_host")) << host;
  }
  for (const char* origin : {"https://evil.example", "http://127.0.0.1:9", "null"}) {
    EXPECT_THAT(gatekeeper.identify(head_with("Origin", origin)), FailsWith("api.bad_host"));
  }
  EXPECT_THAT(gatekeeper.identify(head_with("Origin", "http://127.0.0.1:8080")), IsOk());
}

TEST(Gatekeeper, KnowsTheCommandLineByItsToken) {
  for (const bool ask_nobody : {false, true}) {
    Gatekeeper gatekeeper({ask_nobody, "the-token"});

    ASSERT_OK_AND_ASSIGN(const Caller caller,
                         gatekeeper.identify(head_with("Authorization", "Bearer the-token")));

    EXPECT_EQ(caller.how, Authentication::control_token);
    EXPECT_EQ(caller.scopes, Scopes::all());
  }
}

TEST(Gatekeeper, AWrongTokenIsNobodyEvenWhereNobodyIsAsked) {
  for (const bool ask_nobody : {false, true}) {
    Gatekeeper gatekeeper({ask_nobody, "the-token"});
    for (const char* shown : {"Bearer the-toke", "Bearer the-token2", "Bearer ", "the-token",
                              "Basic dGhlLXRva2Vu", "bearer the-token"}) {
      EXPECT_THAT(gatekeeper.identify(head_with("Authorization", shown)),
                  FailsWith("api.unauthorized"))
          << shown;
    }
  }
}

TEST(Gatekeeper, AnEmptyControlTokenOpensNothing) {
  Gatekeeper gatekeeper({});

  EXPECT_THAT(gatekeeper.identify(head_with("Authorization", "Bearer ")),
              FailsWith("api.unauthorized"));
  EXPECT_THAT(gatekeeper.identify(head_with("X", "y")), FailsWith("api.unauthorized"));
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
