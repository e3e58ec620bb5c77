#include "app/certificates.h"

#include <gmock/gmock.h>

#include "support/certificates.h"
#include "support/test_env.h"

namespace isthmus::app {
namespace {

using std::chrono::hours;
using test::write_private_file;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

ParsedSettings parse(std::vector<std::string> overrides) {
  ConfigSources sources;
  sources.overrides = std::move(overrides);
  sources.environment = [](const std::string&) { return std::optional<std::string>(); };
  return parse_settings(sources);
}

class CertificateSettings : public testing::Test {
 protected:
  CertificateSettings() {
    const auto own = authority_.issue({.until = hours(24 * 10)});
    write_private_file(env_.folder() / "own.pem", own.certificate_pem);
    write_private_file(env_.folder() / "own.key", own.key_pem);
    write_private_file(env_.folder() / "ca.pem", authority_.certificate_pem());
  }
  Settings settings(std::vector<std::string> more = {}) {
    std::vector<std::string> words{"dimse.tls.enabled=true"};
    for (const auto& [name, file] : {std::pair("certificate", "own.pem"),
                                     std::pair("key", "own.key"), std::pair("ca", "ca.pem")}) {
      words.push_back(std::string("dimse.tls.") + name + "=" + (env_.folder() / file).string());
    }
    words.insert(words.end(), more.begin(), more.end());
    ParsedSettings parsed = parse(std::move(words));
    EXPECT_THAT(parsed.problems, IsEmpty());
    return std::move(parsed.settings);
  }

  test::TestEnv env_;
  test::TestAuthority authority_{env_.clock.wall_now()};
};

TEST_F(CertificateSettings, AreComplainedOfTogether) {
  EXPECT_THAT(parse({"dimse.plain=false"}).problems, ElementsAre(HasSubstr("both off")));
  EXPECT_THAT(parse({"dimse.tls.enabled=true"}).problems,
              ElementsAre(HasSubstr("needs dimse.tls.certificate and dimse.tls.key"),
                          HasSubstr("needs dimse.tls.ca")));
  EXPECT_THAT(parse({"dimse.tls.enabled=true", "dimse.tls.certificate=a", "dimse.tls.key=b",
                     "dimse.tls.client_certificates=none", "dimse.tls.port=11112"})
                  .problems,
              ElementsAre(HasSubstr("must differ")));
}

TEST_F(CertificateSettings, AskForNothingWhileTlsIsOff) {
  EXPECT_THAT(certificate_status(env_, parse({}).settings), IsEmpty());
  EXPECT_THAT(certificate_file_problems(env_, parse({}).settings), IsEmpty());
}

TEST_F(CertificateSettings, BecomeWhatTheListenerIsMadeOf) {
  const tls::ContextOptions options = dimse_tls_options(
      settings({"dimse.tls.profile=bcp195-modified", "dimse.tls.client_certificates=none",
                "dimse.tls.crl_for_whole_chain=true"}),
      tls::Role::server);

  EXPECT_EQ(options.certificate, env_.folder() / "own.pem");
  EXPECT_EQ(options.profile, tls::Profile::bcp195_modified);
  EXPECT_FALSE(options.require_peer_certificate);
  EXPECT_TRUE(options.crl_for_whole_chain);
  EXPECT_TRUE(dimse_tls_options(settings(), tls::Role::server).require_peer_certificate);
}

TEST_F(CertificateSettings, SayWhenTheyRunOut) {
  const auto status = certificate_status(env_, settings());

  ASSERT_EQ(status.size(), 1U);
  const WallTime now = env_.clock.wall_now();
  EXPECT_THAT(certificate_lines(status[0], now),
              ElementsAre("certificate dimse: until 2026-02-10T09:30:00.000Z, 240 h from now: "
                          "renew it"));
  EXPECT_THAT(certificate_lines(status[0], now + hours(24 * 10)),
              ElementsAre("certificate dimse: EXPIRED at 2026-02-10T09:30:00.000Z"));
  EXPECT_THAT(certificate_json(status[0], now), HasSubstr("\"expires_in_s\":864000"));
}

TEST_F(CertificateSettings, NameFilesThatCannotBeUsed) {
  EXPECT_THAT(certificate_file_problems(env_, settings()), IsEmpty());
  write_private_file(env_.folder() / "own.key", authority_.issue().key_pem);
  EXPECT_THAT(certificate_file_problems(env_, settings()),
              ElementsAre(HasSubstr("tls.key_mismatch")));
  std::filesystem::remove(env_.folder() / "own.pem");
  EXPECT_THAT(certificate_status(env_, settings())[0].problem, HasSubstr("own.pem"));
}

}  // namespace
}  // namespace isthmus::app
