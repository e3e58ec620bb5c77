#include "api/token_book.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "api/guarded_router.h"
#include "base/digest.h"
#include "http/loopback.h"
#include "support/matchers.h"
#include "support/memory_access_rows.h"
#include "support/scripted_authenticator.h"
#include "support/test_env.h"

namespace isthmus::api {
namespace {

using nlohmann::json;
using test::FailsWith;
using test::IsOk;
using testing::HasSubstr;
using testing::Not;

class Tokens : public testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(book_.load(), IsOk()); }

  test::TestEnv env_;
  test::MemoryAccessRows rows_;
  TokenBook book_{env_, rows_};
};

TEST_F(Tokens, AreKnownByWhatWasShownOnce) {
  ASSERT_OK_AND_ASSIGN(const auto issued, book_.issue("desk", {Scope::read, Scope::operate}, {}));

  ASSERT_OK_AND_ASSIGN(const auto holder, book_.find(issued.token));

  EXPECT_EQ(holder.name, "desk");
  EXPECT_EQ(holder.scopes, (Scopes{Scope::read, Scope::operate}));
}

TEST_F(Tokens, TheLedgerHasOnlyADigest) {
  ASSERT_OK_AND_ASSIGN(const auto issued, book_.issue("desk", {Scope::read}, {}));

  const auto rows = rows_.tokens().value();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].digest, sha256(issued.token).hex());
  EXPECT_THAT(rows[0].digest + rows[0].id, Not(HasSubstr(issued.token.substr(21))));
}

TEST_F(Tokens, SurviveARestart) {
  ASSERT_OK_AND_ASSIGN(const auto issued, book_.issue("desk", {Scope::read}, {}));
  ASSERT_OK_AND_ASSIGN(const auto gone, book_.issue("gone", {Scope::read}, {}));
  ASSERT_THAT(book_.revoke("gone"), IsOk());
  TokenBook restarted(env_, rows_);
  ASSERT_THAT(restarted.load(), IsOk());

  EXPECT_THAT(restarted.find(issued.token), IsOk());
  EXPECT_THAT(restarted.find(gone.token), FailsWith("api.unauthorized"));
}

TEST_F(Tokens, AnyOtherTextIsNobody) {
  ASSERT_OK_AND_ASSIGN(const auto issued, book_.issue("desk", {Scope::read}, {}));
  std::string changed = issued.token;
  changed.back() = changed.back() == '0' ? '1' : '0';
  std::string other_id = issued.token;
  other_id[4] = other_id[4] == '0' ? '1' : '0';

  for (const std::string& text : {changed, other_id, issued.token + "0", issued.token.substr(1),
                                  std::string(), std::string("ist_"), issued.row.digest}) {
    EXPECT_THAT(book_.find(text), FailsWith("api.unauthorized")) << text;
  }
}

TEST_F(Tokens, EndWhenRevoked) {
  ASSERT_OK_AND_ASSIGN(const auto by_name, book_.issue("desk", {Scope::read}, {}));
  ASSERT_OK_AND_ASSIGN(const auto by_id, book_.issue("bench", {Scope::read}, {}));

  EXPECT_THAT(book_.revoke("desk"), IsOk());
  EXPECT_THAT(book_.revoke(by_id.row.id), IsOk());

  EXPECT_THAT(book_.find(by_name.token), FailsWith("api.unauthorized"));
  EXPECT_THAT(book_.find(by_id.token), FailsWith("api.unauthorized"));
  EXPECT_THAT(book_.revoke("desk"), FailsWith("api.token.not_found"));
}

TEST_F(Tokens, EndAtTheirDate) {
  ASSERT_OK_AND_ASSIGN(const auto issued, book_.issue("desk", {Scope::read}, Milliseconds(60'000)));

  env_.clock.advance(Milliseconds(59'999));
  EXPECT_THAT(book_.find(issued.token), IsOk());
  env_.clock.advance(Milliseconds(1));
  EXPECT_THAT(book_.find(issued.token), FailsWith("api.expired"));
}

TEST_F(Tokens, HaveNamesThatAreFitForLogsAndAreTakenOnce) {
  for (const std::string& name : {std::string(), std::string("a b"), std::string("a\n"),
                                  std::string(65, 'a'), std::string("ä")}) {
    EXPECT_THAT(book_.issue(name, {Scope::read}, {}), FailsWith("api.bad_token_name")) << name;
  }
  ASSERT_THAT(book_.issue("desk", {Scope::read}, {}), IsOk());
  EXPECT_THAT(book_.issue("desk", {Scope::read}, {}), FailsWith("api.token_exists"));
}

class TokenRoutes : public Tokens {
 protected:
  TokenRoutes() { add_token_routes(router_, book_, rows_); }
  json ask(const std::string& method, const std::string& path, const std::string& body,
           int status) {
    http::Request request;
    request.method = method;
    request.url = "http://gateway.internal" + path;
    if (!body.empty()) request.body = source_of(body);
    auto response = http::make_loopback(router_)->send(std::move(request));
    EXPECT_THAT(response, IsOk());
    EXPECT_EQ(response->status, status) << method << path << body;
    return json::parse(read_all(*response->body, MiB).value(), nullptr, false);
  }

  test::ScriptedAuthenticator authenticator_;
  GuardedRouter router_{env_, authenticator_, rows_};
};

TEST_F(TokenRoutes, MakeListAndRevoke) {
  const json made = ask("POST", "/v1/tokens",
                        R"({"name":"desk","scopes":["read","operate"],"expires_in_s":60})", 201);
  ASSERT_THAT(book_.find(made["token"].get<std::string>()), IsOk());
  EXPECT_EQ(made["scopes"], "read operate");
  EXPECT_EQ(made["expires_at"], "2026-01-31T09:31:00.000Z");

  const json listed = ask("GET", "/v1/tokens", "", 200);
  EXPECT_EQ(listed["items"].size(), 1u);
  EXPECT_FALSE(listed["items"][0].contains("token"));
  EXPECT_FALSE(listed["items"][0].contains("digest"));

  EXPECT_EQ(ask("POST", "/v1/tokens/desk/revoke", "", 200)["revoked"], true);
  EXPECT_EQ(ask("POST", "/v1/tokens/desk/revoke", "", 404)["code"], "api.token.not_found");
  EXPECT_TRUE(ask("GET", "/v1/tokens", "", 200)["items"][0].contains("revoked_at"));
}

TEST_F(TokenRoutes, RefuseWhatIsNoToken) {
  for (const char* body :
       {"", "[]", R"({"name":"a"})", R"({"name":"a","scopes":"read"})",
        R"({"name":"a","scopes":[1]})", R"({"name":"a","scopes":[]})",
        R"({"name":"a","scopes":["root"]})", R"({"name":"a b","scopes":["read"]})",
        R"({"name":"a","scopes":["read"],"expires_in_s":0})",
        R"({"name":"a","scopes":["read"],"expires_in_s":1e9})"}) {
    ask("POST", "/v1/tokens", body, 400);
  }
}

TEST_F(TokenRoutes, TheAuditLogIsPaged) {
  for (const char* name : {"a", "b", "c"}) {
    ask("POST", "/v1/tokens", R"({"scopes":["read"],"name":")" + std::string(name) + "\"}", 201);
  }

  const json first = ask("GET", "/v1/audit?limit=4", "", 200);
  const json rest = ask("GET", "/v1/audit?before=" + first["next_before"].dump(), "", 200);

  EXPECT_EQ(first["items"].size(), 4u);
  EXPECT_EQ(first["items"][0]["status"], 201);
  EXPECT_EQ(first["items"][0]["action"], "POST /v1/tokens");
  EXPECT_EQ(rest["items"].size(), 2u);
  EXPECT_FALSE(rest.contains("next_before"));
  for (const char* query : {"?limit=0", "?limit=x", "?before=-1", "?what=1", "?limit=1&limit=2"}) {
    EXPECT_EQ(ask("GET", "/v1/audit" + std::string(query), "", 400)["code"], "api.bad_query");
  }
}

}  // namespace
}  // namespace isthmus::api
