// Google's credentials against stand-ins that look at what the real ones look at.
#include "auth/google.h"

#include <fstream>
#include <map>

#include "base/thread.h"
#include "support/google_sign_in.h"
#include "support/matchers.h"
#include "support/scripted_transport.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

using nlohmann::json;
using std::chrono::minutes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kScope = "https://www.googleapis.com/auth/cloud-platform";

class GoogleChain : public ::testing::Test {
 protected:
  GoogleChain() { variables["HOME"] = env.folder().string(); }

  TokenSource& chain() {
    if (!made) {
      options.variable = [this](const std::string& name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        return found == variables.end() ? std::nullopt : std::optional(found->second);
      };
      made = make_google_credentials(env, google, options);
    }
    return *made;
  }
  std::string write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = env.folder() / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path.string();
  }
  void use(const json& document) {
    variables["GOOGLE_APPLICATION_CREDENTIALS"] = write("credentials.json", document.dump());
  }
  json external(const json& source) {
    return {{"type", "external_account"},
            {"audience", GoogleSignIn::kAudience},
            {"subject_token_type", "urn:ietf:params:oauth:token-type:jwt"},
            {"token_url", "https://sts.googleapis.com/v1/token"},
            {"credential_source", source}};
  }
  static std::string impersonation_url() {
    return std::string("https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/") +
           GoogleSignIn::kEmail + ":generateAccessToken";
  }

  TestEnv env;
  GoogleSignIn google{env.clock};
  std::map<std::string, std::string> variables;
  GoogleCredentialOptions options;
  std::unique_ptr<TokenSource> made;
};

// --- whom they stand for

TEST_F(GoogleChain, TellsWhomAFileStandsForWithoutAskingAnybody) {
  const auto whom = [this](const json& document) {
    options.credentials_file = write("own.json", document.dump());
    const auto identity = read_google_identity(env, google, options);
    return identity.ok() ? identity->type + " " + identity->name : identity.error().code;
  };
  json impersonating = external({{"file", "/nowhere"}});
  impersonating["service_account_impersonation_url"] = impersonation_url();

  EXPECT_EQ(whom(GoogleSignIn::key_file()), std::string("service_account ") + GoogleSignIn::kEmail);
  EXPECT_EQ(whom(impersonating), std::string("external_account ") + GoogleSignIn::kEmail);
  EXPECT_EQ(whom(external({{"file", "/nowhere"}})),
            std::string("external_account ") + GoogleSignIn::kAudience);
  EXPECT_EQ(whom({{"type", "authorized_user"}}), "authorized_user ");
  EXPECT_EQ(whom(json::array()), "auth.no_credentials");
  EXPECT_TRUE(google.asked.empty());
}

TEST_F(GoogleChain, TheMachineTellsItsAccount) {
  options.metadata_endpoint = "http://127.0.0.1:7/";
  options.variable = [](const std::string&) { return std::nullopt; };

  ASSERT_OK_AND_ASSIGN(const GoogleIdentity identity, read_google_identity(env, google, options));

  EXPECT_EQ(identity.type, "metadata_server");
  EXPECT_EQ(identity.name, GoogleSignIn::kEmail);
  EXPECT_THAT(google.asked, ElementsAre("GET http://127.0.0.1:7/computeMetadata/v1/instance/"
                                        "service-accounts/default/email"));
  google.metadata_flavor = "";
  EXPECT_THAT(read_google_identity(env, google, options), FailsWith("auth.no_credentials"));
}

// --- a service account's key

TEST_F(GoogleChain, GetsATokenForASignedAssertion) {
  use(GoogleSignIn::key_file());

  ASSERT_OK_AND_ASSIGN(const std::string token, chain().token());

  EXPECT_EQ(token, "granted-1");
  EXPECT_THAT(google.asked, ElementsAre("POST https://oauth2.googleapis.com/token"));
}

TEST_F(GoogleChain, PrefersTheFileThatTheConfigurationNames) {
  use({{"type", "nonsense"}});
  options.credentials_file = write("own.json", GoogleSignIn::key_file().dump());

  EXPECT_THAT(chain().token(), IsOk());
}

TEST_F(GoogleChain, AsksAnotherTokenEndpointWithTheSameClaims) {
  use(GoogleSignIn::key_file());
  options.token_endpoint = "https://oauth2.private.example/token";

  ASSERT_THAT(chain().token(), IsOk());

  EXPECT_THAT(google.asked, ElementsAre("POST https://oauth2.private.example/token"));
}

TEST_F(GoogleChain, SignsTheTokenItselfWhenToldTo) {
  use(GoogleSignIn::key_file());
  options.self_signed_audience = "https://healthcare.googleapis.com/";

  ASSERT_OK_AND_ASSIGN(const std::string token, chain().token());

  EXPECT_EQ(google.refusal_of_jwt(token, "https://healthcare.googleapis.com/", true), "");
  EXPECT_TRUE(google.asked.empty());
  env.clock.advance(minutes(56));
  ASSERT_OK_AND_ASSIGN(const std::string renewed, chain().token());
  EXPECT_NE(renewed, token);
}

TEST_F(GoogleChain, TellsWhatTheTokenEndpointSays) {
  json file = GoogleSignIn::key_file();
  file["client_email"] = "nobody@hospital.iam.gserviceaccount.com";
  use(file);

  const auto token = chain().token();

  EXPECT_THAT(token, FailsWith("auth.no_credentials", Fate::transient));
  EXPECT_THAT(token.error().message, HasSubstr("invalid_grant: Invalid grant: account not found"));
}

TEST_F(GoogleChain, SaysWhatIsWrongWithAKeyFile) {
  json file = GoogleSignIn::key_file();
  file["private_key"] = "-----BEGIN PRIVATE KEY-----\nnone\n-----END PRIVATE KEY-----\n";
  use(file);
  EXPECT_THAT(chain().token().error().message, HasSubstr("private_key"));

  made.reset();
  variables["GOOGLE_APPLICATION_CREDENTIALS"] = "/no/such/file.json";
  EXPECT_THAT(chain().token().error().message, HasSubstr("/no/such/file.json"));

  made.reset();
  use({{"type", "gdch_service_account"}});
  EXPECT_THAT(chain().token().error().message, HasSubstr("service_account"));
  EXPECT_TRUE(google.asked.empty());
}

TEST_F(GoogleChain, NeverSaysASecret) {
  json file = GoogleSignIn::key_file();
  use(file);
  ASSERT_THAT(chain().token(), IsOk());
  google.broken = transient_error("http.connect", "It cannot be reached.");
  env.clock.advance(minutes(61));
  const auto failed = chain().token();

  ASSERT_FALSE(failed.ok());
  for (std::string text : env.log.lines()) {
    EXPECT_THAT(text, Not(HasSubstr("granted-1")));
    EXPECT_THAT(text, Not(HasSubstr("PRIVATE KEY")));
  }
  EXPECT_THAT(failed.error().message, Not(HasSubstr("PRIVATE KEY")));
}

// --- renewal

TEST_F(GoogleChain, KeepsATokenUntilItIsNearlyOver) {
  use(GoogleSignIn::key_file());
  ASSERT_OK_AND_ASSIGN(const std::string first, chain().token());
  env.clock.advance(minutes(54));
  EXPECT_EQ(*chain().token(), first);
  env.clock.advance(minutes(2));

  EXPECT_EQ(*chain().token(), "granted-2");
  EXPECT_TRUE(env.log.contains("credentials.renewed source=service_account"));
}

TEST_F(GoogleChain, UsesTheOldTokenWhileANewOneCannotBeHad) {
  use(GoogleSignIn::key_file());
  ASSERT_OK_AND_ASSIGN(const std::string first, chain().token());
  google.broken = transient_error("http.connect", "It cannot be reached.");
  env.clock.advance(minutes(56));
  EXPECT_EQ(*chain().token(), first);
  env.clock.advance(minutes(5));

  EXPECT_THAT(chain().token(), FailsWith("auth.no_credentials", Fate::transient));
}

TEST_F(GoogleChain, DoesNotAskForEveryCallerThatFails) {
  google.broken = transient_error("http.connect", "It cannot be reached.");
  use(GoogleSignIn::key_file());

  for (int i = 0; i < 5; ++i) EXPECT_FALSE(chain().token().ok());
  EXPECT_EQ(google.asked.size(), 1U);
  google.broken.reset();
  env.clock.advance(minutes(1));
  EXPECT_THAT(chain().token(), IsOk());
}

TEST_F(GoogleChain, GivesARefusedTokenToNobodyElse) {
  use(GoogleSignIn::key_file());
  ASSERT_OK_AND_ASSIGN(const std::string first, chain().token());

  chain().refused("another");
  EXPECT_EQ(*chain().token(), first);
  chain().refused(first);
  EXPECT_EQ(*chain().token(), "granted-2");
}

TEST_F(GoogleChain, AsksOnceForManyCallers) {
  use(GoogleSignIn::key_file());
  std::vector<Thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back(env, "caller", [&] { EXPECT_EQ(*chain().token(), "granted-1"); });
    if (i == 0) callers.front().join();  // made in one thread
  }
  for (Thread& caller : callers) caller.join();

  EXPECT_EQ(google.asked.size(), 1U);
}

// --- the metadata server

TEST_F(GoogleChain, AsksTheMetadataServerWhenThereIsNoFile) {
  ASSERT_OK_AND_ASSIGN(const std::string token, chain().token());

  EXPECT_EQ(token, "machine-1");
  EXPECT_THAT(google.asked,
              ElementsAre("GET http://169.254.169.254/computeMetadata/v1/instance/service-accounts/"
                          "default/token?scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-"
                          "platform"));
}

TEST_F(GoogleChain, FindsTheMetadataServerWhereItIsSaidToBe) {
  variables["GCE_METADATA_HOST"] = "metadata.internal:8080";

  ASSERT_THAT(chain().token(), IsOk());

  EXPECT_THAT(google.asked.at(0), HasSubstr("GET http://metadata.internal:8080/computeMetadata/"));
}

TEST_F(GoogleChain, TakesNothingFromWhoIsNoMetadataServer) {
  google.metadata_flavor = "";

  EXPECT_THAT(chain().token(), FailsWith("auth.no_credentials", Fate::transient));
}

TEST_F(GoogleChain, AsksTheMachineByItsOwnTransport) {
  GoogleSignIn machine(env.clock);
  options.local_transport = &machine;

  ASSERT_THAT(chain().token(), IsOk());

  EXPECT_TRUE(google.asked.empty());
  EXPECT_EQ(machine.asked.size(), 1U);
}

TEST_F(GoogleChain, SaysWhatToDoWhenThereIsNothing) {
  variables["NO_GCE_CHECK"] = "true";

  const auto token = chain().token();

  EXPECT_THAT(token, FailsWith("auth.no_credentials", Fate::transient));
  EXPECT_THAT(token.error().message, HasSubstr("GOOGLE_APPLICATION_CREDENTIALS"));
}

// --- workload identity federation

TEST_F(GoogleChain, ExchangesATokenFromAFile) {
  use(external({{"file", write("subject", "on-site-token\n")}}));

  ASSERT_OK_AND_ASSIGN(const std::string token, chain().token());

  EXPECT_EQ(token, "federated-1");
  EXPECT_EQ(google.last_scope, kScope);
  EXPECT_THAT(google.asked, ElementsAre("POST https://sts.googleapis.com/v1/token"));
}

TEST_F(GoogleChain, ReadsTheFileAgainForEachToken) {
  const std::string path = write("subject", R"({"value":"on-site-token"})");
  use(external(
      {{"file", path}, {"format", {{"type", "json"}, {"subject_token_field_name", "value"}}}}));
  ASSERT_THAT(chain().token(), IsOk());
  write("subject", R"({"value":"stale"})");
  env.clock.advance(minutes(61));

  const auto token = chain().token();

  EXPECT_THAT(token, FailsWith("auth.no_credentials"));
  EXPECT_THAT(token.error().message, HasSubstr("subject token could not be verified"));
}

TEST_F(GoogleChain, ExchangesATokenOfALocalService) {
  ScriptedTransport local;
  local.answers(200, R"({"access_token":"on-site-token"})");
  options.local_transport = &local;
  use(external({{"url", "http://127.0.0.1:7000/token"},
                {"headers", {{"X-Local", "yes"}}},
                {"format", {{"type", "json"}, {"subject_token_field_name", "access_token"}}}}));

  ASSERT_OK_AND_ASSIGN(const std::string token, chain().token());

  EXPECT_EQ(token, "federated-1");
  EXPECT_EQ(local.last().headers.get("X-Local"), "yes");
}

TEST_F(GoogleChain, RunsAProgramOnlyWhenThatIsAllowed) {
  std::vector<std::string> ran;
  options.run = [&](const std::vector<std::string>& words) -> Result<std::string> {
    ran = words;
    return std::string(
        R"({"version":1,"success":true,"token_type":"urn:ietf:params:oauth:token-type:jwt",)"
        R"("id_token":"on-site-token"})");
  };
  use(external({{"executable", {{"command", "/opt/token --for google"}}}}));
  EXPECT_THAT(chain().token().error().message,
              HasSubstr("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"));

  made.reset();
  variables["GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"] = "1";
  EXPECT_THAT(chain().token(), IsOk());
  EXPECT_THAT(ran, ElementsAre("/opt/token", "--for", "google"));
}

TEST_F(GoogleChain, SpeaksForAServiceAccount) {
  json file = external({{"file", write("subject", "on-site-token")}});
  file["service_account_impersonation_url"] = impersonation_url();
  file["service_account_impersonation"] = {{"token_lifetime_seconds", 1200}};
  options.scopes = {"https://www.googleapis.com/auth/cloud-healthcare"};
  use(file);

  ASSERT_OK_AND_ASSIGN(const std::string token, chain().token());

  EXPECT_EQ(token, "impersonated-2");
  EXPECT_EQ(google.last_scope, kScope);
  EXPECT_THAT(google.scopes_asked, ElementsAre("https://www.googleapis.com/auth/cloud-healthcare"));
  env.clock.advance(minutes(16));  // short-lived: three quarters of its time
  EXPECT_EQ(*chain().token(), "impersonated-4");
}

TEST_F(GoogleChain, KeepsEndpointsOfItsOwnForEachStep) {
  json file = external({{"file", write("subject", "on-site-token")}});
  file["service_account_impersonation_url"] = impersonation_url();
  options.sts_endpoint = "https://sts.private.example/v1/token";
  options.impersonation_endpoint = "https://iam.private.example/a:generateAccessToken";
  use(file);

  ASSERT_THAT(chain().token(), IsOk());

  EXPECT_THAT(google.asked, ElementsAre("POST https://sts.private.example/v1/token",
                                        "POST https://iam.private.example/a:generateAccessToken"));
}

// --- the others

TEST_F(GoogleChain, RefreshesTheTokenOfAPerson) {
  write(".config/gcloud/application_default_credentials.json", json{{"type", "authorized_user"},
                                                                    {"client_id", "app"},
                                                                    {"client_secret", "app-secret"},
                                                                    {"refresh_token", "person"}}
                                                                   .dump());

  EXPECT_EQ(*chain().token(), "refreshed-1");
}

TEST_F(GoogleChain, SpeaksForAnAccountWithTheKeyOfAnother) {
  use({{"type", "impersonated_service_account"},
       {"service_account_impersonation_url", impersonation_url()},
       {"source_credentials", GoogleSignIn::key_file()}});

  EXPECT_EQ(*chain().token(), "impersonated-2");
}

// --- calls with a token

class FixedTokens : public TokenSource {
 public:
  Result<std::string> token() override { return current; }
  void refused(const std::string& token) override {
    told = token;
    if (renews) current = "second";
  }
  std::string current = "first", told;
  bool renews = true;
};

TEST(Bearer, RenewsOnceWhenATokenIsRefused) {
  ScriptedTransport next;
  next.answers(401).answers(200, "good");
  FixedTokens tokens;
  BearerTransport bearer(next, tokens);
  http::Request request{"PUT", "http://service.invalid/"};
  request.body = source_of(std::string("bytes"));

  ASSERT_OK_AND_ASSIGN(const http::Response response, bearer.send(request));

  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(tokens.told, "first");
  ASSERT_EQ(next.seen().size(), 2U);
  EXPECT_EQ(next.seen()[0].headers.get("Authorization"), "Bearer first");
  EXPECT_EQ(next.seen()[1].headers.get("Authorization"), "Bearer second");
  EXPECT_EQ(next.seen()[1].body, "bytes");
}

TEST(Bearer, GivesTheRefusalWhenThereIsNoOtherToken) {
  ScriptedTransport next;
  next.answers(401);
  FixedTokens tokens;
  tokens.renews = false;
  BearerTransport bearer(next, tokens);

  ASSERT_OK_AND_ASSIGN(const http::Response response, bearer.send({"GET", "http://s.invalid/"}));

  EXPECT_EQ(response.status, 401);
  EXPECT_EQ(next.seen().size(), 1U);
}

}  // namespace
}  // namespace isthmus::test
