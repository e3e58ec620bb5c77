#include "tls/certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "support/certificates.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::tls {
namespace {

using std::chrono::hours;
using test::FailsWith;
using test::IsOk;
using test::IssuedCertificate;
using test::write_private_file;

class CertificatesTest : public ::testing::Test {
 protected:
  CertificatesTest() { write_private_file(options_.ca, authority_.certificate_pem()); }
  void install(const IssuedCertificate& issued) {
    write_private_file(options_.certificate, issued.certificate_pem);
    write_private_file(options_.key, issued.key_pem);
  }
  std::unique_ptr<Certificates> open() {
    auto opened = Certificates::open(env_, "dimse", options_);
    EXPECT_THAT(opened, IsOk());
    return opened.ok() ? std::move(opened).value() : nullptr;
  }
  static std::string in_force(const Certificates& certificates) {
    return certificates.current()->validity().fingerprint_sha256;
  }
  std::size_t logged(std::string_view text) {
    std::size_t count = 0;
    for (const std::string& line : env_.log.lines()) {
      count += line.find(text) == std::string::npos ? 0 : 1;
    }
    return count;
  }

  test::TestEnv env_;
  test::TestAuthority authority_{env_.clock.wall_now()};
  ContextOptions options_{.certificate = env_.folder() / "own.pem",
                          .key = env_.folder() / "own.key",
                          .ca = env_.folder() / "ca.pem"};
};

TEST_F(CertificatesTest, AreReplacedWhenAsked) {
  install(authority_.issue());
  const auto certificates = open();
  const auto before = certificates->current();
  EXPECT_FALSE(certificates->reload().value());
  const IssuedCertificate next = authority_.issue();
  install(next);

  ASSERT_OK_AND_ASSIGN(const bool changed, certificates->reload());

  EXPECT_TRUE(changed);
  EXPECT_EQ(in_force(*certificates), next.fingerprint_sha256);
  EXPECT_NE(before->validity().fingerprint_sha256, next.fingerprint_sha256);  // lives on
  EXPECT_TRUE(env_.log.contains("info tls.reloaded name=dimse"));
}

TEST_F(CertificatesTest, AreReplacedOnceTheFilesHaveSettled) {
  const IssuedCertificate first = authority_.issue(), next = authority_.issue();
  install(first);
  const auto certificates = open();
  certificates->refresh();

  write_private_file(options_.certificate, next.certificate_pem);  // its key is still under way
  certificates->refresh();
  write_private_file(options_.key, next.key_pem);
  certificates->refresh();
  EXPECT_EQ(in_force(*certificates), first.fingerprint_sha256);
  EXPECT_EQ(logged("tls.reload_refused"), 0U);
  certificates->refresh();

  EXPECT_EQ(in_force(*certificates), next.fingerprint_sha256);
}

TEST_F(CertificatesTest, StayWhenTheNewOnesAreNoGood) {
  const IssuedCertificate first = authority_.issue();
  install(first);
  const auto certificates = open();
  write_private_file(options_.certificate, "garbage");

  for (int i = 0; i < 5; ++i) certificates->refresh();

  EXPECT_EQ(in_force(*certificates), first.fingerprint_sha256);
  EXPECT_EQ(logged("error tls.reload_refused"), 1U);
  EXPECT_EQ(logged((env_.folder() / "own.pem").string()), 1U);
  EXPECT_THAT(certificates->reload(), FailsWith("tls.certificate"));

  install(authority_.issue());
  EXPECT_TRUE(certificates->reload().value());
}

TEST_F(CertificatesTest, OfTheSameFilesInTwoRolesSayWhatIsWrongOnce) {
  install(authority_.issue());
  const auto certificates = open();
  ContextOptions as_client = options_;
  as_client.role = Role::client;
  ASSERT_OK_AND_ASSIGN(const auto reports,
                       Certificates::open(env_, "dimse_reports", as_client, certificates.get()));
  write_private_file(options_.certificate, "garbage");

  for (int i = 0; i < 3; ++i) {
    certificates->refresh();
    reports->refresh();
  }

  EXPECT_EQ(logged("error tls.reload_refused"), 1U);
  EXPECT_EQ(logged("name=dimse_reports"), 0U);

  // Good for the one and not for the other is said by the other.
  install(authority_.issue());
  for (int i = 0; i < 3; ++i) {
    certificates->refresh();
    reports->refresh();
  }
  write_private_file(options_.certificate, "garbage");
  for (int i = 0; i < 3; ++i) reports->refresh();
  EXPECT_EQ(logged("error tls.reload_refused name=dimse_reports"), 1U);
}

TEST_F(CertificatesTest, AreNotReplacedByOnesOutOfTheirTime) {
  install(authority_.issue());
  const auto certificates = open();
  install(authority_.issue({.from = hours(-48), .until = hours(-24)}));
  EXPECT_THAT(certificates->reload(), FailsWith("tls.certificate_expired"));
  install(authority_.issue({.from = hours(24), .until = hours(48)}));
  EXPECT_THAT(certificates->reload(), FailsWith("tls.certificate_not_yet_valid"));
}

TEST_F(CertificatesTest, WarnThirtyDaysBeforeTheyExpireAndOnceADay) {
  install(authority_.issue({.until = hours(24 * 31)}));
  const auto certificates = open();
  EXPECT_EQ(logged("tls.certificate_expires"), 0U);

  env_.clock.advance(hours(25));
  certificates->refresh();
  certificates->refresh();
  EXPECT_EQ(logged("warn tls.certificate_expires"), 1U);
  EXPECT_NEAR(
      env_.metrics->gauge("tls_certificate_expiry_seconds", "", {{"name", "dimse"}}).value(),
      (24.0 * 31 - 25) * 3600, 1);
  env_.clock.advance(hours(25));
  certificates->refresh();
  EXPECT_EQ(logged("warn tls.certificate_expires"), 2U);
  env_.clock.advance(hours(24 * 30));
  certificates->refresh();
  EXPECT_EQ(logged("error tls.certificate_expires"), 1U);
}

TEST_F(CertificatesTest, SayThatARevocationListIsOutOfDate) {
  install(authority_.issue());
  options_.crl = env_.folder() / "crl.pem";
  write_private_file(options_.crl, authority_.crl_pem(hours(24)));
  const auto certificates = open();
  EXPECT_EQ(logged("tls.crl_expired"), 0U);

  env_.clock.advance(hours(25));
  certificates->refresh();
  EXPECT_EQ(logged("error tls.crl_expired"), 1U);

  write_private_file(options_.crl, authority_.crl_pem(hours(72)));
  EXPECT_TRUE(certificates->reload().value());
  certificates->refresh();
  EXPECT_GT(env_.metrics->gauge("tls_crl_expiry_seconds", "", {{"name", "dimse"}}).value(), 0);
}

}  // namespace
}  // namespace isthmus::tls
