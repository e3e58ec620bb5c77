#include "api/guarded_router.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "api/problem.h"
#include "http/loopback.h"
#include "support/matchers.h"
#include "support/memory_access_rows.h"
#include "support/scripted_authenticator.h"
#include "support/test_env.h"

namespace isthmus::api {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class Guarded : public testing::Test {
 protected:
  void SetUp() override { make({}); }
  void make(GuardedRouterOptions options) {
    router_ = std::make_unique<GuardedRouter>(env_, authenticator_, audit_, options);
    router_->add_open("/healthz", [] { return http::text_response(200, "text/plain", "ok\n"); });
    for (const Scope scope : kAllScopes) {
      for (const char* method : {"GET", "POST"}) {
        router_->add(method, "/" + std::string(to_string(scope)) + "/{id}", scope,
                     [this](const Call& call) {
                       ++ran_;
                       seen_ = call.caller;
                       return http::gather(KiB, [](const std::string&) {
                         return http::text_response(202, "text/plain", "done\n");
                       });
                     });
      }
    }
  }
  http::Response ask(const std::string& method, const std::string& path) {
    http::Request request;
    request.method = method;
    request.url = "http://gateway.internal" + path;
    if (method == "POST") request.body = source_of(std::string("{}"));
    auto response = http::make_loopback(*router_)->send(std::move(request));
    EXPECT_THAT(response, test::IsOk());
    return std::move(response).value();
  }
  static std::string code_of(http::Response& response) {
    return nlohmann::json::parse(read_all(*response.body, MiB).value())["code"];
  }

  test::TestEnv env_;
  test::ScriptedAuthenticator authenticator_;
  test::MemoryAccessRows audit_;
  std::unique_ptr<GuardedRouter> router_;
  int ran_ = 0;
  Caller seen_;
};

TEST_F(Guarded, EveryRouteByEveryScope) {
  for (const Scope has : kAllScopes) {
    authenticator_.caller.scopes = {has};
    for (const Scope needs : kAllScopes) {
      for (const char* method : {"GET", "POST", "HEAD"}) {
        ran_ = 0;
        const int status = ask(method, "/" + std::string(to_string(needs)) + "/1").status;
        const bool may = has == needs || (has == Scope::read_phi && needs == Scope::read);
        EXPECT_EQ(status, may ? 202 : 403) << to_string(has) << method << to_string(needs);
        EXPECT_EQ(ran_, may ? 1 : 0);
      }
    }
  }
}

TEST_F(Guarded, NobodyLearnsWhatExistsBeforeSayingWho) {
  authenticator_.refusal = permanent_error("api.unauthorized", "Who calls?");

  for (const char* path : {"/read/1", "/nothing", "/v1/studies", "/read/%zz"}) {
    for (const char* method : {"GET", "POST", "DELETE"}) {
      http::Response refused = ask(method, path);
      EXPECT_EQ(refused.status, 401) << method << path;
      EXPECT_THAT(refused.headers.get("WWW-Authenticate"), HasSubstr("Bearer"));
      EXPECT_EQ(code_of(refused), "api.unauthorized");
    }
  }
  EXPECT_EQ(ask("GET", "/healthz").status, 200);
  EXPECT_EQ(ask("POST", "/healthz").status, 401);
  EXPECT_EQ(ran_, 0);
}

TEST_F(Guarded, RefusalsAreProblemDocuments) {
  http::Response missing = ask("GET", "/nothing");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.headers.get("Content-Type"), "application/problem+json");
  EXPECT_EQ(code_of(missing), "api.not_found");

  http::Response method = ask("DELETE", "/read/1");
  EXPECT_EQ(method.status, 405);
  EXPECT_EQ(method.headers.get("Allow"), "GET, POST, HEAD");
  EXPECT_EQ(code_of(method), "api.method_not_allowed");

  EXPECT_EQ(ask("GET", "/read/%zz").status, 400);
}

TEST_F(Guarded, AChangeIsInTheAuditLogBeforeAndAfter) {
  EXPECT_EQ(ask("POST", "/operate/1.2.840.1").status, 202);

  const auto log = audit_.audit(0, 10).value();
  ASSERT_EQ(log.size(), 2u);
  EXPECT_EQ(log[1].status, 0);
  EXPECT_EQ(log[0].status, 202);
  EXPECT_EQ(log[0].call_id, log[1].call_id);
  EXPECT_EQ(log[0].caller, "tester");
  EXPECT_EQ(log[0].authentication, "token");
  EXPECT_EQ(log[0].address, "192.0.2.1");
  EXPECT_EQ(log[0].action, "POST /operate/{id}");
  EXPECT_EQ(log[0].subject, "1.2.840.1");
}

TEST_F(Guarded, ReadingAndStoringAreNotAudited) {
  ask("GET", "/operate/1");
  ask("HEAD", "/admin/1");
  ask("POST", "/store/1");

  EXPECT_THAT(audit_.audit(0, 10).value(), IsEmpty());
}

TEST_F(Guarded, WhatCannotBeAuditedIsNotDone) {
  audit_.refuse(transient_error("ledger.full", "No space."));

  http::Response refused = ask("POST", "/operate/1");

  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(code_of(refused), "ledger.full");
  EXPECT_EQ(ran_, 0);
}

TEST_F(Guarded, WhatACallerWritesIsNotForTheAuditLogToRunAway) {
  ask("POST", "/operate/" + std::string(5000, 'a') + "%0a");

  EXPECT_EQ(audit_.audit(0, 1).value()[0].subject, std::string(512, 'a'));
  ask("POST", "/operate/a%0ab");
  EXPECT_EQ(audit_.audit(0, 1).value()[0].subject, "a?b");
}

TEST_F(Guarded, ACallerThatCallsTooOftenWaits) {
  make({.limits = {.calls_per_second = 2}});

  for (int i = 0; i < 4; ++i) EXPECT_EQ(ask("GET", "/read/1").status, 202) << i;
  http::Response refused = ask("GET", "/read/1");
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.headers.get("Retry-After"), "1");
  EXPECT_EQ(code_of(refused), "api.too_many_calls");
  EXPECT_EQ(ask("POST", "/store/1").status, 202);
  authenticator_.caller.name = "another";
  EXPECT_EQ(ask("GET", "/read/1").status, 202);
  authenticator_.caller.name = "tester";
  env_.clock.advance(Milliseconds(500));
  EXPECT_EQ(ask("GET", "/read/1").status, 202);
  EXPECT_EQ(ask("GET", "/read/1").status, 429);
}

TEST_F(Guarded, OneCallersCallsInProgressAreCounted) {
  make({.limits = {.calls_at_once = 2}});
  const http::Head head{"POST", "/store/1", {}, "", std::nullopt};
  auto first = router_->open(head);
  auto second = router_->open(head);

  auto third = router_->open(head);
  EXPECT_EQ(third->finish().status, 429);
  first.reset();

  EXPECT_EQ(router_->open(head)->finish().status, 202);
}

TEST_F(Guarded, AnswersAreNotForBrowsersToRunFrameOrKeep) {
  for (const char* path : {"/healthz", "/read/1", "/nothing"}) {
    const http::Response answer = ask("GET", path);
    EXPECT_EQ(answer.headers.get("X-Content-Type-Options"), "nosniff") << path;
    EXPECT_EQ(answer.headers.get("Cache-Control"), "no-store") << path;
    EXPECT_THAT(answer.headers.get("Content-Security-Policy"), HasSubstr("default-src 'none'"));
    EXPECT_FALSE(answer.headers.contains("Strict-Transport-Security"));
  }
  make({.over_tls = true});
  EXPECT_TRUE(ask("GET", "/read/1").headers.contains("Strict-Transport-Security"));
}

TEST_F(Guarded, TheHandlerKnowsWhoCalls) {
  authenticator_.caller = {"desk", {Scope::read}, Authentication::oidc, "10.0.0.7"};

  ask("GET", "/read/1");

  EXPECT_EQ(seen_.name, "desk");
  EXPECT_EQ(seen_.how, Authentication::oidc);
  EXPECT_EQ(seen_.address, "10.0.0.7");
}

TEST(GuardedRouterDeathTest, OnlyHealthAndReadinessAreOpen) {
  test::TestEnv env;
  test::ScriptedAuthenticator authenticator;
  test::MemoryAccessRows audit;
  GuardedRouter router(env, authenticator, audit);

  EXPECT_DEATH(router.add_open("/v1/studies", [] { return http::Response(); }), "healthz");
}

}  // namespace
}  // namespace isthmus::api
