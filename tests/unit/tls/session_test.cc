// Two sessions of ours with each other, over a pair of sockets, both driven by the test's thread.
#include "tls/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "support/certificates.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::tls {
namespace {

using std::chrono::hours;
using test::CertificateRecipe;
using test::IsOk;
using test::IssuedCertificate;
using test::write_private_file;
using ::testing::ElementsAre;
using ::testing::StrEq;

class SessionTest : public ::testing::Test {
 protected:
  SessionTest() {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends_.data()), 0);
    install_server({.common_name = "gate", .subject_names = "DNS:gate.example,IP:192.0.2.1"});
    install_client({.common_name = "ct1"});
    write_private_file(folder() / "ca.pem", authority_.certificate_pem());
  }
  ~SessionTest() override {
    client_.reset();
    server_.reset();
    for (const int end : ends_) ::close(end);
  }
  std::filesystem::path folder() { return env_.folder(); }
  void install_server(const CertificateRecipe& recipe) {
    server_certificate_ = authority_.issue(recipe);
    write_private_file(folder() / "server.pem", server_certificate_.certificate_pem);
    write_private_file(folder() / "server.key", server_certificate_.key_pem);
  }
  void install_client(const CertificateRecipe& recipe) {
    client_certificate_ = authority_.issue(recipe);
    write_private_file(folder() / "client.pem", client_certificate_.certificate_pem);
    write_private_file(folder() / "client.key", client_certificate_.key_pem);
  }
  ContextOptions server_options() {
    return {.certificate = folder() / "server.pem",
            .key = folder() / "server.key",
            .ca = folder() / "ca.pem"};
  }
  ContextOptions client_options() {
    return {.role = Role::client,
            .certificate = folder() / "client.pem",
            .key = folder() / "client.key",
            .ca = folder() / "ca.pem"};
  }
  void open(const ContextOptions& server, const ContextOptions& client,
            const ExpectedServer& expected) {
    auto server_context = Context::load(env_, server), client_context = Context::load(env_, client);
    ASSERT_THAT(server_context, IsOk());
    ASSERT_THAT(client_context, IsOk());
    auto accepting = Session::accept(env_, **server_context, ends_[0], {});
    auto connecting = Session::connect(env_, **client_context, ends_[1], expected);
    ASSERT_THAT(accepting, IsOk());
    ASSERT_THAT(connecting, IsOk());
    server_.emplace(std::move(accepting).value());
    client_.emplace(std::move(connecting).value());
  }
  // Until neither goes on: how both ended.
  std::pair<Step, Step> shake_hands(const ExpectedServer& expected = {.host = "gate.example"}) {
    open(server_options(), client_options(), expected);
    return drive();
  }
  std::pair<Step, Step> drive() {
    Step server = Step::wants_read, client = Step::wants_read;
    for (int i = 0; i < 20; ++i) {
      if (client != Step::done && client != Step::failed) client = client_->handshake();
      if (server != Step::done && server != Step::failed) server = server_->handshake();
    }
    return {server, client};
  }

  test::TestEnv env_;
  test::TestAuthority authority_{env_.clock.wall_now()};
  IssuedCertificate server_certificate_, client_certificate_;
  std::array<int, 2> ends_{-1, -1};
  std::optional<Session> server_, client_;
};

TEST_F(SessionTest, BothSidesLearnWhoTheOtherIs) {
  ASSERT_EQ(shake_hands(), std::pair(Step::done, Step::done));

  EXPECT_EQ(server_->peer().fingerprint_sha256, client_certificate_.fingerprint_sha256);
  EXPECT_EQ(server_->peer().common_name, "ct1");
  EXPECT_EQ(client_->peer().fingerprint_sha256, server_certificate_.fingerprint_sha256);
  EXPECT_THAT(client_->peer().subject_names, ElementsAre("gate.example", "192.0.2.1"));
  EXPECT_THAT(server_->version(), StrEq("TLSv1.3"));
  EXPECT_THAT(server_->suite(), StrEq("TLS_AES_128_GCM_SHA256"));
}

TEST_F(SessionTest, CarriesBytesBothWaysAndEnds) {
  ASSERT_EQ(shake_hands(), std::pair(Step::done, Step::done));
  const std::string sent(40'000, 'd');
  std::string received;
  std::array<std::byte, 65536> chunk;

  for (std::size_t at = 0; at < sent.size();) {
    const Moved moved = client_->write(as_bytes(sent).subspan(at));
    ASSERT_EQ(moved.step, Step::done);
    at += moved.bytes;
  }
  client_->close_notify();
  Moved moved = server_->read(chunk);
  for (; moved.step == Step::done; moved = server_->read(chunk)) {
    received += as_text(ByteSpan(chunk).first(moved.bytes));
  }

  EXPECT_EQ(received, sent);
  EXPECT_EQ(moved.step, Step::closed);
}

TEST_F(SessionTest, WantsToBePolledWhenThereIsNothing) {
  ASSERT_EQ(shake_hands(), std::pair(Step::done, Step::done));
  std::array<std::byte, 16> chunk;

  EXPECT_EQ(server_->read(chunk).step, Step::wants_read);
  EXPECT_FALSE(server_->has_pending());
  Moved moved{Step::done, 0};
  const std::string much(1 << 20, 'x');
  while (moved.step == Step::done) moved = client_->write(as_bytes(much));
  EXPECT_EQ(moved.step, Step::wants_write);
}

TEST_F(SessionTest, FindsThePeerGone) {
  ASSERT_EQ(shake_hands(), std::pair(Step::done, Step::done));
  std::array<std::byte, 16> chunk;
  ::shutdown(ends_[1], SHUT_RDWR);

  EXPECT_EQ(server_->read(chunk).step, Step::closed);
}

TEST_F(SessionTest, ChecksTheServersName) {
  EXPECT_EQ(shake_hands({.host = "other.example"}).second, Step::failed);
  EXPECT_THAT(client_->failure(), StrEq("wrong_name"));
}

TEST_F(SessionTest, ChecksTheServersAddress) {
  EXPECT_EQ(shake_hands({.host = "192.0.2.1"}).second, Step::done);
}

TEST_F(SessionTest, RefusesAnotherAddress) {
  EXPECT_EQ(shake_hands({.host = "192.0.2.2"}).second, Step::failed);
  EXPECT_THAT(client_->failure(), StrEq("wrong_name"));
}

TEST_F(SessionTest, TakesAPinnedCertificateInPlaceOfNameAndAuthority) {
  ContextOptions client = client_options();
  client.ca.clear();
  open(server_options(), client, {.pin_sha256 = server_certificate_.fingerprint_sha256});

  EXPECT_EQ(drive(), std::pair(Step::done, Step::done));
}

TEST_F(SessionTest, RefusesAnotherCertificateThanThePinnedOne) {
  EXPECT_EQ(shake_hands({.pin_sha256 = client_certificate_.fingerprint_sha256}).second,
            Step::failed);
  EXPECT_THAT(client_->failure(), StrEq("wrong_pin"));
}

TEST_F(SessionTest, TrustsNobodyWithoutAuthorities) {
  ContextOptions client = client_options();
  client.ca.clear();
  open(server_options(), client, {.host = "gate.example"});

  EXPECT_EQ(drive(), std::pair(Step::failed, Step::failed));
  EXPECT_THAT(client_->failure(), StrEq("unknown_ca"));
  EXPECT_THAT(server_->failure(), StrEq("refused_by_peer"));
}

TEST_F(SessionTest, JudgesDatesByTheClockOfTheEnv) {
  env_.clock.advance(hours(24 * 366));

  EXPECT_EQ(shake_hands().second, Step::failed);
  EXPECT_THAT(client_->failure(), StrEq("certificate_expired"));
}

TEST_F(SessionTest, GivesEveryKindOfSubjectName) {
  install_client({.common_name = "ct1", .subject_names = "DNS:ct1.example,URI:urn:ct1,IP:::1"});
  ASSERT_EQ(shake_hands(), std::pair(Step::done, Step::done));

  EXPECT_THAT(server_->peer().subject_names,
              ElementsAre("ct1.example", "urn:ct1", "0000:0000:0000:0000:0000:0000:0000:0001"));
}

}  // namespace
}  // namespace isthmus::tls
