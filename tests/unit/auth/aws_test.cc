// The AWS credential chain against stand-ins that look at what the real ones look at.
#include "auth/aws.h"

#include <fstream>
#include <map>

#include "auth/aws/profiles.h"
#include "base/command.h"
#include "base/digest.h"
#include "support/matchers.h"
#include "support/scripted_transport.h"
#include "support/test_env.h"
#include "wire/sigv4.h"
#include "wire/sts.h"

namespace isthmus::test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr const char* kRole = "arn:aws:iam::123456789012:role/gateway";

class AwsChain : public ::testing::Test {
 protected:
  AwsChain() { variables["HOME"] = env.folder().string(); }

  CredentialsSource& chain() {
    if (!made) {
      options.variable = [this](const std::string& name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        return found == variables.end() ? std::nullopt : std::optional(found->second);
      };
      made = make_aws_credentials(env, transport, options);
    }
    return *made;
  }
  std::string write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = env.folder() / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path.string();
  }
  void config(const std::string& text) { write(".aws/config", text); }
  void keys(const std::string& text) { write(".aws/credentials", text); }
  std::string in(Milliseconds time) { return to_rfc3339(env.clock.wall_now() + time); }
  // What STS answers.
  void assumes(const std::string& id, bool by_web_identity = false, Milliseconds time = hours(1)) {
    transport.answers(200,
                      wire::sts::print(wire::sts::AssumedRole{id, id + "-secret", id + "-token",
                                                              env.clock.wall_now() + time},
                                       by_web_identity));
  }
  // As STS verifies it: the signature of whoever asks.
  bool is_signed_by(const ScriptedTransport::Seen& seen, const std::string& secret) {
    http::Request copy{seen.method, seen.url, {}, nullptr};
    for (const char* name : {"Content-Type"}) {
      copy.headers.set(name, std::string(seen.headers.get(name)));
    }
    const std::string claimed(seen.headers.get("Authorization"));
    const std::string id = claimed.substr(claimed.find("Credential=") + 11,
                                          claimed.find('/') - claimed.find("Credential=") - 11);
    EXPECT_TRUE(
        wire::sigv4::sign(copy, {id, secret, std::string(seen.headers.get("X-Amz-Security-Token"))},
                          "eu-central-1", "sts", env.clock.wall_now(), sha256(seen.body).hex())
            .ok());
    return copy.headers.get("Authorization") == claimed;
  }

  TestEnv env;
  ScriptedTransport transport;
  std::map<std::string, std::string> variables;
  AwsCredentialOptions options{.region = "eu-central-1"};
  std::unique_ptr<CredentialsSource> made;
};

// --- environment

TEST_F(AwsChain, TakesTheEnvironmentFirst) {
  variables.insert({{"AWS_ACCESS_KEY_ID", "id"},
                    {"AWS_SECRET_ACCESS_KEY", "secret"},
                    {"AWS_SESSION_TOKEN", "token"},
                    {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/never/asked"}});
  keys("[default]\naws_access_key_id=other\naws_secret_access_key=other\n");

  ASSERT_OK_AND_ASSIGN(const Credentials found, chain().credentials());

  EXPECT_EQ(found.access_key_id, "id");
  EXPECT_EQ(found.session_token, "token");
}

TEST_F(AwsChain, DoesNotFallThroughFromHalfAKeyPair) {
  variables["AWS_ACCESS_KEY_ID"] = "id";

  EXPECT_THAT(chain().credentials(), FailsWith("auth.no_credentials", Fate::transient));
}

TEST_F(AwsChain, PrefersTheProfileThatTheConfigurationNames) {
  variables.insert({{"AWS_ACCESS_KEY_ID", "id"}, {"AWS_SECRET_ACCESS_KEY", "secret"}});
  keys("[gateway]\naws_access_key_id = other\naws_secret_access_key = other\n");
  options.profile = "gateway";

  ASSERT_OK_AND_ASSIGN(const Credentials found, chain().credentials());

  EXPECT_EQ(found.access_key_id, "other");
}

TEST_F(AwsChain, SaysWhatToDoWhenThereIsNothing) {
  variables["AWS_EC2_METADATA_DISABLED"] = "true";

  const auto found = chain().credentials();

  EXPECT_THAT(found, FailsWith("auth.no_credentials", Fate::transient));
  EXPECT_THAT(found.error().message, HasSubstr("AWS_ACCESS_KEY_ID"));
}

// --- profiles

TEST_F(AwsChain, AssumesTheRoleOfAProfileWithTheKeysOfAnother) {
  config("[profile gateway]\nrole_arn = " + std::string(kRole) +
         "\nsource_profile = base\nexternal_id = hospital-7\nduration_seconds = 1800\n"
         "role_session_name = ct\n");
  keys("[base]\naws_access_key_id = base-id\naws_secret_access_key = base-secret\n");
  variables["AWS_PROFILE"] = "gateway";
  assumes("assumed");

  ASSERT_OK_AND_ASSIGN(const Credentials found, chain().credentials());

  EXPECT_EQ(found.access_key_id, "assumed");
  EXPECT_EQ(found.session_token, "assumed-token");
  const auto& seen = transport.last();
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.url, "https://sts.eu-central-1.amazonaws.com/");
  ASSERT_OK_AND_ASSIGN(const auto asked, wire::sts::parse_assume_role(seen.body));
  EXPECT_EQ(asked, (wire::sts::AssumeRole{kRole, "ct", "hospital-7", "", 1800}));
  EXPECT_TRUE(is_signed_by(seen, "base-secret"));
}

TEST_F(AwsChain, FollowsAChainOfRoles) {
  config(
      "[profile a]\nrole_arn = role-a\nsource_profile = b\n"
      "[profile b]\nrole_arn = role-b\nsource_profile = c\n");
  keys("[c]\naws_access_key_id = c\naws_secret_access_key = c-secret\n");
  options.profile = "a";
  assumes("as-b");
  assumes("as-a");

  ASSERT_OK_AND_ASSIGN(const Credentials found, chain().credentials());

  EXPECT_EQ(found.access_key_id, "as-a");
  EXPECT_TRUE(is_signed_by(transport.seen()[0], "c-secret"));
  EXPECT_TRUE(is_signed_by(transport.seen()[1], "as-b-secret"));
}

TEST_F(AwsChain, RefusesProfilesThatLeadNowhere) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"[profile a]\nrole_arn = r\nsource_profile = a\n", "leads back"},
      {"[profile a]\nrole_arn = r\nsource_profile = b\n", "no such profile"},
      {"[profile a]\nrole_arn = r\n", "source_profile"},
      {"[profile a]\nrole_arn = r\nmfa_serial = m\nsource_profile = a\n", "mfa_serial"},
      {"[profile a]\nrole_arn = r\nduration_seconds = 5\nsource_profile = a\n", "900"},
      {"[profile a]\nregion = eu-central-1\n", "single sign-on"},
      {"[profile a]\naws_access_key_id = id\n", "aws_secret_access_key"},
      {"[profile a]\ncredential_process = \"open\n", "quote"},
      {"[profile b]\n", "no such profile"},
  };
  options.profile = "a";
  for (const auto& [text, why] : cases) {
    config(text);
    made.reset();

    const auto found = chain().credentials();

    EXPECT_THAT(found, FailsWith("auth.no_credentials", Fate::transient)) << text;
    EXPECT_THAT(describe(found.error()), HasSubstr(why)) << text;
  }
}

TEST_F(AwsChain, AssumesARoleWithItsOwnKeysInTheSameProfile) {
  config(
      "[profile a]\nrole_arn = r\nsource_profile = a\naws_access_key_id = id\n"
      "aws_secret_access_key = own-secret\n");
  options.profile = "a";
  assumes("assumed");

  ASSERT_OK_AND_ASSIGN(const Credentials found, chain().credentials());

  EXPECT_EQ(found.access_key_id, "assumed");
  EXPECT_TRUE(is_signed_by(transport.last(), "own-secret"));
}

TEST_F(AwsChain, RunsTheCommandOfAProfile) {
  config(
      "[default]\ncredential_process = /bin/echo '{\"Version\": 1, \"AccessKeyId\": \"printed\",' "
      "'\"SecretAccessKey\": \"s\", \"Expiration\": \"" +
      in(hours(1)) + "\"}'\n");
  options.run = [](const std::vector<std::string>& words) { return run_command(words); };

  ASSERT_OK_AND_ASSIGN(const Credentials found, chain().credentials());

  EXPECT_EQ(found.access_key_id, "printed");
  EXPECT_EQ(found.expires_at, env.clock.wall_now() + hours(1));
}

TEST_F(AwsChain, TellsOfACommandThatFails) {
  config("[default]\ncredential_process = /bin/false\n");
  options.run = [](const std::vector<std::string>& words) { return run_command(words); };

  EXPECT_THAT(chain().credentials(), FailsWith("auth.no_credentials", Fate::transient));
}

TEST(AwsProfiles, AreReadAsTheSdksReadThem) {
  aws::Profiles profiles;

  aws::add_profiles(
      "# comment\n[default]\nregion = us-east-1 ; west\n"
      "aws_secret_access_key = a#b/c+d\n\n[profile two words]\nA_Name=v\ns3 =\n  nested = no\n"
      "[sso-session x]\nregion = none\n[plain]\nregion = none\nno setting here\n[broken\nx=y\n",
      true, profiles);
  aws::add_profiles("[default]\nregion=eu-west-1\n[plain]\nk=v\n", false, profiles);

  EXPECT_THAT(profiles["default"], UnorderedElementsAre(Pair("region", "eu-west-1"),
                                                        Pair("aws_secret_access_key", "a#b/c+d")));
  EXPECT_THAT(profiles["two words"], UnorderedElementsAre(Pair("a_name", "v"), Pair("s3", "")));
  EXPECT_THAT(profiles["plain"], UnorderedElementsAre(Pair("k", "v")));
  EXPECT_EQ(profiles.size(), 3U);
}

TEST(AwsProfiles, WordsOfACommandStayTogether) {
  EXPECT_THAT(*aws::split_words("a 'b c' \"d \\\" e\" f\\ g ''"),
              ElementsAre("a", "b c", "d \" e", "f g", ""));
  EXPECT_FALSE(aws::split_words("a 'b"));
}

// --- web identity

TEST_F(AwsChain, ShowsTheTokenOfAPod) {
  variables.insert(
      {{"AWS_WEB_IDENTITY_TOKEN_FILE", write("token", "first.jwt\n")}, {"AWS_ROLE_ARN", kRole}});
  assumes("first", true, minutes(30));
  ASSERT_OK_AND_ASSIGN(const Credentials found, chain().credentials());
  EXPECT_EQ(found.access_key_id, "first");
  ASSERT_OK_AND_ASSIGN(const auto asked, wire::sts::parse_assume_role(transport.last().body));
  EXPECT_EQ(asked.web_identity_token, "first.jwt");
  EXPECT_FALSE(transport.last().headers.contains("Authorization"));

  write("token", "second.jwt");  // rotated
  env.clock.advance(minutes(26));
  assumes("second", true);
  ASSERT_OK_AND_ASSIGN(const Credentials renewed, chain().credentials());

  EXPECT_EQ(renewed.access_key_id, "second");
  EXPECT_THAT(transport.last().body, HasSubstr("WebIdentityToken=second.jwt"));
}

TEST_F(AwsChain, RepeatsWhatStsSaysOfARefusal) {
  variables.insert(
      {{"AWS_WEB_IDENTITY_TOKEN_FILE", write("token", "jwt")}, {"AWS_ROLE_ARN", kRole}});
  transport.answers(400, wire::sts::print(wire::sts::ErrorBody{"ExpiredTokenException", "Old."}));

  const auto found = chain().credentials();

  EXPECT_THAT(found, FailsWith("auth.no_credentials", Fate::transient));
  EXPECT_THAT(found.error().message, HasSubstr("ExpiredTokenException: Old."));
}

// --- containers

TEST_F(AwsChain, AsksTheAgentOfAContainer) {
  variables.insert(
      {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"},
       {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", write("agent-token", "of-the-pod\n")}});
  transport.answers(200, R"({"AccessKeyId": "pod", "SecretAccessKey": "s", "Token": "t",)"
                         R"( "Expiration": ")" +
                             in(hours(6)) + "\"}");

  ASSERT_OK_AND_ASSIGN(const Credentials found, chain().credentials());

  EXPECT_EQ(found.access_key_id, "pod");
  EXPECT_EQ(found.session_token, "t");
  EXPECT_EQ(transport.last().headers.get("Authorization"), "of-the-pod");
}

TEST_F(AwsChain, AsksTheTaskAgentByARelativePath) {
  variables["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "/v2/credentials/x";
  transport.answers(200, R"({"AccessKeyId": "task", "SecretAccessKey": "s", "Token": "t"})");

  ASSERT_THAT(chain().credentials(), IsOk());

  EXPECT_EQ(transport.last().url, "http://169.254.170.2/v2/credentials/x");
}

TEST_F(AwsChain, DoesNotSendATokenOverTheNetworkInPlain) {
  for (const std::string url : {"http://example.org/", "http://169.254.170.2.example.org/",
                                "http://10.0.0.1/", "ftp://127.0.0.1/"}) {
    variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = url;
    made.reset();
    EXPECT_THAT(chain().credentials(), FailsWith("auth.no_credentials", Fate::transient)) << url;
  }
  EXPECT_TRUE(transport.seen().empty());
}

// --- instance metadata

TEST_F(AwsChain, AsksInstanceMetadataWithATokenOnly) {
  transport.answers(200, "the-token")
      .answers(200, "gateway role\n")
      .answers(200, R"({"Code": "Success", "AccessKeyId": "machine", "SecretAccessKey": "s",)"
                    R"( "Token": "t", "Expiration": ")" +
                        in(hours(6)) + "\"}");

  ASSERT_OK_AND_ASSIGN(const Credentials found, chain().credentials());

  EXPECT_EQ(found.access_key_id, "machine");
  const auto& seen = transport.seen();
  EXPECT_EQ(seen[0].method, "PUT");
  EXPECT_EQ(seen[0].url, "http://169.254.169.254/latest/api/token");
  EXPECT_TRUE(seen[0].headers.contains("X-aws-ec2-metadata-token-ttl-seconds"));
  EXPECT_EQ(seen[1].headers.get("X-aws-ec2-metadata-token"), "the-token");
  EXPECT_EQ(seen[2].url,
            "http://169.254.169.254/latest/meta-data/iam/security-credentials/gateway%20role");
  EXPECT_EQ(seen[2].headers.get("X-aws-ec2-metadata-token"), "the-token");
}

TEST_F(AwsChain, DoesNotFallBackToMetadataWithoutAToken) {
  transport.answers(404);

  EXPECT_THAT(chain().credentials(), FailsWith("auth.no_credentials", Fate::transient));
  EXPECT_EQ(transport.seen().size(), 1U);
}

TEST_F(AwsChain, LetsCallersFailTogether) {
  transport.fails(transient_error("http.connect", "Nobody is there."));
  EXPECT_THAT(chain().credentials(), FailsWith("auth.no_credentials", Fate::transient));
  EXPECT_THAT(chain().credentials(), FailsWith("auth.no_credentials", Fate::transient));
  EXPECT_EQ(transport.seen().size(), 1U);

  env.clock.advance(Milliseconds(5'001));
  transport.fails(transient_error("http.connect", "Nobody is there."));
  EXPECT_THAT(chain().credentials(), FailsWith("auth.no_credentials", Fate::transient));

  EXPECT_EQ(transport.seen().size(), 2U);
}

// --- renewal

class Renewal : public AwsChain {
 protected:
  Renewal() { variables["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "/x"; }
  void gives(const std::string& id, Milliseconds time) {
    transport.answers(200, R"({"AccessKeyId": ")" + id + R"(", "SecretAccessKey": "secret-of-)" +
                               id + R"(", "Token": "t", "Expiration": ")" + in(time) + "\"}");
  }
  std::string id() {
    const auto found = chain().credentials();
    return found.ok() ? found->access_key_id : found.error().code;
  }
};

TEST_F(Renewal, ComesBeforeTheExpiry) {
  gives("one", hours(1));
  EXPECT_EQ(id(), "one");
  env.clock.advance(minutes(54));
  EXPECT_EQ(id(), "one");

  gives("two", hours(1));
  env.clock.advance(minutes(1));

  EXPECT_EQ(id(), "two");
  EXPECT_TRUE(env.log.contains("credentials.renewed"));
}

TEST_F(Renewal, ThatFailsLeavesTheOldOnesUntilTheyExpire) {
  gives("one", hours(1));
  EXPECT_EQ(id(), "one");
  env.clock.advance(minutes(56));
  transport.answers(500);
  EXPECT_EQ(id(), "one");

  env.clock.advance(minutes(5));
  transport.answers(500);
  EXPECT_EQ(id(), "auth.no_credentials");

  env.clock.advance(Milliseconds(5'001));
  gives("two", hours(1));
  EXPECT_EQ(id(), "two");
}

TEST_F(Renewal, DoesNotAskAgainAndAgainForShortSessions) {
  gives("one", minutes(8));
  EXPECT_EQ(id(), "one");
  env.clock.advance(minutes(5));
  EXPECT_EQ(id(), "one");

  EXPECT_EQ(transport.seen().size(), 1U);
}

TEST_F(Renewal, WritesNoSecretIntoTheLog) {
  gives("one", hours(1));
  id();
  env.clock.advance(minutes(58));
  transport.answers(500, "secret-of-one");
  id();

  for (const std::string& line : env.log.lines()) EXPECT_THAT(line, Not(HasSubstr("secret")));
}

TEST_F(Renewal, SeesNewKeysInTheFiles) {
  variables.clear();
  variables["HOME"] = env.folder().string();
  keys("[default]\naws_access_key_id = old\naws_secret_access_key = s\n");
  EXPECT_EQ(id(), "old");
  keys("[default]\naws_access_key_id = new\naws_secret_access_key = s\n");
  env.clock.advance(minutes(5));

  EXPECT_EQ(id(), "new");
}

// --- a role on top of what the chain gives

TEST_F(AwsChain, AssumesTheRoleOfTheConfiguration) {
  variables.insert({{"AWS_ACCESS_KEY_ID", "id"}, {"AWS_SECRET_ACCESS_KEY", "secret"}});
  options.role_arn = kRole;
  options.external_id = "hospital-7";
  options.sts_endpoint = "http://127.0.0.1:9";
  assumes("assumed");

  ASSERT_OK_AND_ASSIGN(const Credentials found, chain().credentials());

  EXPECT_EQ(found.access_key_id, "assumed");
  EXPECT_EQ(transport.last().url, "http://127.0.0.1:9/");
  EXPECT_TRUE(is_signed_by(transport.last(), "secret"));
  EXPECT_THAT(transport.last().body, HasSubstr("ExternalId=hospital-7"));
}

}  // namespace
}  // namespace isthmus::test
