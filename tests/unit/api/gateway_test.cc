#include "api/gateway.h"

#include <nlohmann/json.hpp>

#include "http/loopback.h"
#include "support/matchers.h"
#include "support/memory_ledger.h"
#include "support/scripted_authenticator.h"
#include "support/test_env.h"

namespace isthmus::api {
namespace {

using testing::HasSubstr;

struct Answer {
  int status = 0;
  std::string body;
};

class Gateway : public testing::Test {
 protected:
  void SetUp() override { serve(admission_); }
  Answer ask(const std::string& method, const std::string& path, const std::string& body = "") {
    http::Request request;
    request.method = method;
    request.url = "http://gateway.internal" + path;
    if (!body.empty()) request.body = source_of(body);
    auto response = http::make_loopback(*router_)->send(std::move(request));
    EXPECT_THAT(response, test::IsOk());
    Answer answer{response->status, ""};
    if (response->body) answer.body = read_all(*response->body, MiB).value();
    return answer;
  }

  test::TestEnv env_;
  test::MemoryLedger ledger_{env_, {"main"}};
  Admission admission_{env_, {env_.folder(), 0, 0}};
  // Of the faces over another admission, after this.
  void serve(Admission& admission) {
    router_ = std::make_unique<GuardedRouter>(env_, authenticator_, ledger_.access_rows());
    add_gateway_routes(*router_, env_, ledger_, admission, {[this] { return reloaded_; }});
  }

  test::ScriptedAuthenticator authenticator_;
  std::unique_ptr<GuardedRouter> router_;
  Result<bool> reloaded_ = true;
};

TEST_F(Gateway, IsHealthyAndReadyAtFirst) {
  admission_.refresh();

  EXPECT_EQ(ask("GET", "/healthz").status, 200);
  const Answer ready = ask("GET", "/readyz");
  EXPECT_EQ(ready.status, 200) << ready.body;
  EXPECT_TRUE(nlohmann::json::parse(ready.body)["ready"].get<bool>());
}

TEST_F(Gateway, SaysHowMuchSpaceIsLeftAndForHowLong) {
  admission_.in_flight(5);
  admission_.refresh();

  const auto body = nlohmann::json::parse(ask("GET", "/readyz").body);

  EXPECT_EQ(body["admission"], "open");
  EXPECT_EQ(body["in_flight_bytes"], 5);
  EXPECT_EQ(body["available_bytes"].get<std::uint64_t>() + 5,
            body["free_bytes"].get<std::uint64_t>());
  EXPECT_TRUE(body["time_to_full_s"].is_null());
}

TEST_F(Gateway, IsNotReadyForNewSendersWhileAssociationsAreRefused) {
  const std::uint64_t more_than_any_disk = 1'000'000'000'000'000;
  Admission refusing(env_, {env_.folder(), 0, 0, more_than_any_disk, more_than_any_disk});
  refusing.refresh();
  serve(refusing);

  const Answer ready = ask("GET", "/readyz");

  EXPECT_EQ(ready.status, 503);
  EXPECT_THAT(ready.body, HasSubstr("refusing"));
  EXPECT_EQ(ask("GET", "/healthz").status, 200);
}

TEST_F(Gateway, IsHealthyButNotReadyWhileItStops) {
  admission_.close(AdmissionState::stopping);

  EXPECT_EQ(ask("GET", "/healthz").status, 200);
  const Answer ready = ask("GET", "/readyz");
  EXPECT_EQ(ready.status, 503);
  EXPECT_THAT(ready.body, HasSubstr("stopping"));
}

TEST_F(Gateway, IsNotHealthyAfterAFatalError) {
  admission_.close(AdmissionState::failed);

  EXPECT_EQ(ask("GET", "/healthz").status, 503);
  EXPECT_EQ(ask("GET", "/readyz").status, 503);
}

TEST_F(Gateway, MetricsHaveTheStatesOfTheLedger) {
  EXPECT_THAT(ask("GET", "/metrics").body, HasSubstr("isthmus_asks_for_person_count 0"));
}

TEST_F(Gateway, RetrySaysHowManyItMoved) {
  const Answer answer = ask("POST", "/control/retry", R"({"what": "all"})");

  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(nlohmann::json::parse(answer.body)["moved"], 0);
}

TEST_F(Gateway, NothingIsDiscardedWithoutAReason) {
  for (const auto* body : {"x", R"({"what": "1.2"})", R"({"what": "1.2", "reason": ""})",
                           R"({"what": "1.2", "reason": 5})", R"({"reason": "a phantom"})"}) {
    const Answer answer = ask("POST", "/control/discard", body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_EQ(nlohmann::json::parse(answer.body)["code"], "api.bad_request");
  }
  EXPECT_EQ(ask("POST", "/control/discard", R"({"what": "1.2", "reason": "a phantom"})").status,
            200);
}

TEST_F(Gateway, ReloadSaysWhetherCertificatesChanged) {
  EXPECT_EQ(ask("POST", "/control/reload", "{}").body, R"({"changed":true})");
  reloaded_ = permanent_error("tls.key_mismatch", "/etc/gate.key: is not the key.");

  const Answer answer = ask("POST", "/control/reload", "{}");

  EXPECT_EQ(answer.status, 409);
  EXPECT_EQ(nlohmann::json::parse(answer.body)["code"], "tls.key_mismatch");
}

TEST_F(Gateway, ABrokenOrderIsAProblemDocument) {
  for (const auto* body : {"all", "[]", R"({"what": 5})", "{}"}) {
    const Answer answer = ask("POST", "/control/retry", body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_EQ(nlohmann::json::parse(answer.body)["code"], "api.bad_request");
  }
}

TEST_F(Gateway, UnknownPathsAndMethodsAreRefused) {
  EXPECT_EQ(ask("GET", "/nothing").status, 404);
  EXPECT_EQ(ask("GET", "/control/retry").status, 405);
}

}  // namespace
}  // namespace isthmus::api
