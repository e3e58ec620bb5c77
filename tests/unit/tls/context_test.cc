#include "tls/context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "support/certificates.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::tls {
namespace {

using test::CertificateRecipe;
using test::FailsWith;
using test::IsOk;
using test::write_private_file;
using ::testing::HasSubstr;

class ContextTest : public ::testing::Test {
 protected:
  ContextTest() {
    own_ = authority_.issue({.common_name = "isthmus", .subject_names = "DNS:gate.example"});
    write_private_file(options_.certificate, own_.certificate_pem + authority_.certificate_pem());
    write_private_file(options_.key, own_.key_pem);
    write_private_file(options_.ca, authority_.certificate_pem());
  }
  std::filesystem::path file(const char* name) { return env_.folder() / name; }
  Result<std::shared_ptr<const Context>> load() { return Context::load(env_, options_); }

  test::TestEnv env_;
  test::TestAuthority authority_{env_.clock.wall_now()};
  test::IssuedCertificate own_;
  ContextOptions options_{
      .certificate = file("own.pem"), .key = file("own.key"), .ca = file("ca.pem")};
};

TEST_F(ContextTest, KnowsWhenItRunsOut) {
  options_.crl = file("crl.pem");
  write_private_file(options_.crl, authority_.crl_pem(std::chrono::hours(72)));

  ASSERT_OK_AND_ASSIGN(const auto context, load());
  ASSERT_OK_AND_ASSIGN(const auto read, read_validity(env_, options_));

  for (const Validity& validity : {context->validity(), read}) {
    EXPECT_EQ(validity.fingerprint_sha256, own_.fingerprint_sha256);
    EXPECT_EQ(validity.certificate_until, env_.clock.wall_now() + std::chrono::hours(24 * 365));
    EXPECT_EQ(validity.crl_until, env_.clock.wall_now() + std::chrono::hours(72));
  }
}

TEST_F(ContextTest, ReadsAFolderOfAuthorities) {
  std::filesystem::create_directory(file("trusted"));
  options_.ca = file("trusted");
  EXPECT_THAT(load(), FailsWith("tls.ca"));

  write_private_file(options_.ca / "one.crt", authority_.certificate_pem());
  write_private_file(options_.ca / "README", "not looked at");
  EXPECT_THAT(load(), IsOk());
}

TEST_F(ContextTest, NamesTheFileThatIsNoGood) {
  const auto complains = [&](const FileSystem::Path& path, const char* code) {
    const auto context = load();
    EXPECT_THAT(context, FailsWith(code));
    if (context.ok()) return;
    EXPECT_THAT(context.error().message, HasSubstr(path.string()));
  };
  write_private_file(options_.certificate, "not a certificate");
  complains(options_.certificate, "tls.certificate");
  write_private_file(options_.certificate, own_.certificate_pem.substr(0, 200));
  complains(options_.certificate, "tls.certificate");
  std::filesystem::remove(options_.certificate);
  complains(options_.certificate, "tls.certificate");
  write_private_file(options_.certificate, own_.certificate_pem);

  write_private_file(options_.key, authority_.issue().key_pem);
  complains(options_.key, "tls.key_mismatch");
  write_private_file(options_.key, "nothing");
  complains(options_.key, "tls.key");
  write_private_file(options_.key, own_.key_pem);

  write_private_file(options_.ca, "");
  complains(options_.ca, "tls.ca");
  write_private_file(options_.ca, authority_.certificate_pem());

  options_.crl = file("crl.pem");
  complains(options_.crl, "tls.crl");
  write_private_file(options_.crl, "nothing");
  complains(options_.crl, "tls.crl");
}

TEST_F(ContextTest, RefusesAKeyThatEverybodyMayRead) {
  std::filesystem::permissions(options_.key, std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);

  EXPECT_THAT(load(), FailsWith("tls.key_readable"));
}

TEST_F(ContextTest, OpensAnEncryptedKey) {
  write_private_file(options_.key, own_.encrypted_key_pem("open sesame"));
  EXPECT_THAT(load(), FailsWith("tls.key_passphrase"));
  options_.passphrase = "something else";
  EXPECT_THAT(load(), FailsWith("tls.key_passphrase"));
  options_.passphrase = "open sesame";
  EXPECT_THAT(load(), IsOk());
}

TEST_F(ContextTest, RefusesAWeakCertificateOfOurOwn) {
  const auto weak = authority_.issue({.key = CertificateRecipe::Key::rsa_1024});
  write_private_file(options_.certificate, weak.certificate_pem);
  write_private_file(options_.key, weak.key_pem);

  const auto context = load();

  EXPECT_THAT(context, FailsWith("tls.certificate"));
  EXPECT_THAT(context.error().message, HasSubstr("key too small"));
}

TEST_F(ContextTest, WantsAuthoritiesWhenClientsMustShowCertificates) {
  options_.ca.clear();
  EXPECT_THAT(load(), FailsWith("tls.ca"));
  options_.require_peer_certificate = false;
  EXPECT_THAT(load(), IsOk());
}

TEST_F(ContextTest, OffersEveryProfile) {
  for (const Profile profile :
       {Profile::bcp195, Profile::bcp195_modified, Profile::bcp195_rfc7525}) {
    options_.profile = profile;
    EXPECT_THAT(load(), IsOk()) << to_string(profile);
    EXPECT_EQ(parse_profile(to_string(profile)), profile);
  }
  EXPECT_FALSE(parse_profile("sslv3").has_value());
}

TEST_F(ContextTest, SeesEveryChangeOfItsFiles) {
  options_.crl = file("crl.pem");
  write_private_file(options_.crl, authority_.crl_pem());
  std::string before = fingerprint_files(env_, options_);
  EXPECT_EQ(fingerprint_files(env_, options_), before);
  for (const auto& path : {options_.certificate, options_.key, options_.ca, options_.crl}) {
    write_private_file(path, "another");
    const std::string after = fingerprint_files(env_, options_);
    EXPECT_NE(after, before) << path;
    before = after;
  }
}

}  // namespace
}  // namespace isthmus::tls
