// The server behind TLS: our own client through it, and peers that are in the way of it.
#include <openssl/ssl.h>

#include "contract/http/fixtures.h"
#include "http/client.h"
#include "http/server.h"
#include "support/certificates.h"
#include "support/matchers.h"
#include "support/test_env.h"
#include "tls/certificates.h"

namespace isthmus::http {
namespace {

using test::FailsWith;
using test::IsOk;

class ServerTlsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    issue("IP:127.0.0.1");
    test::write_private_file(ca_, authority_.certificate_pem());
    tls::ContextOptions tls;
    tls.certificate = env_.folder() / "own.pem";
    tls.key = env_.folder() / "own.key";
    tls.require_peer_certificate = false;
    ASSERT_OK_AND_ASSIGN(certificates_, tls::Certificates::open(env_, "http", tls));
    options_.certificates = certificates_.get();
    options_.header_timeout = Milliseconds(2'000);
    options_.body_idle_timeout = Milliseconds(5'000);
    handler_.on_open = [this](const Head&) {
      auto opened = std::make_unique<TestExchange>(count_);
      auto body = std::make_shared<std::string>();
      opened->on_feed = [body](ByteSpan piece) {
        body->append(as_text(piece));
        return true;
      };
      opened->on_finish = [body] { return text_response(200, "text/plain", "got " + *body); };
      return opened;
    };
    ASSERT_OK_AND_ASSIGN(server_, listen(env_, handler_, options_));
  }
  void TearDown() override {
    server_.reset();
    EXPECT_TRUE(env_.fatals().empty());
  }
  void issue(const std::string& names) {
    const auto issued = authority_.issue({.common_name = "gate", .subject_names = names});
    test::write_private_file(env_.folder() / "own.pem", issued.certificate_pem);
    test::write_private_file(env_.folder() / "own.key", issued.key_pem);
  }
  Result<std::string> exchange(std::string body = "") {
    const auto client = make_client(env_, {.ca_file = ca_.string(), .proxy_url = ""});
    Request request;
    request.url = "https://127.0.0.1:" + std::to_string(server_->port()) + "/a";
    if (!body.empty()) {
      request.method = "POST";
      request.body = source_of(std::move(body));
    }
    TRY_ASSIGN(const Response response, client->send(std::move(request)));
    return read_all(*response.body, 64 * MiB);
  }
  // What OpenSSL's own client hears for these bytes, until the connection ends.
  std::string raw(std::string_view text, bool reads = true) {
    const Peer peer(server_->port());
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    SSL* session = SSL_new(context);
    SSL_set_fd(session, peer.socket());
    std::string heard;
    if (SSL_connect(session) == 1) {
      SSL_write(session, text.data(), static_cast<int>(text.size()));
      char bytes[4096];
      for (int got = 1; reads && got > 0;) {
        got = SSL_read(session, bytes, sizeof bytes);
        if (got > 0) heard.append(bytes, static_cast<std::size_t>(got));
      }
    }
    SSL_free(session);
    SSL_CTX_free(context);
    return heard;
  }

  test::TestEnv env_{1, posix_files(), true};
  test::TestAuthority authority_{env_.env().clock.wall_now()};
  const std::filesystem::path ca_ = env_.folder() / "ca.pem";
  std::unique_ptr<tls::Certificates> certificates_;
  ExchangeCount count_;
  TestHandler handler_;
  ServerOptions options_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTlsTest, AnswersThroughTls) {
  EXPECT_EQ(exchange().value(), "got ");
  EXPECT_EQ(exchange("hello").value(), "got hello");
}

TEST_F(ServerTlsTest, CarriesBodiesOfManyRecordsWhole) {
  std::string body(5'000'000, 'x');
  for (std::size_t i = 0; i < body.size(); i += 97) body[i] = static_cast<char>('a' + i % 26);

  ASSERT_OK_AND_ASSIGN(const std::string answer, exchange(body));

  EXPECT_TRUE(answer == "got " + body);
}

TEST_F(ServerTlsTest, PipelinedRequestsInOneRecordAreAllAnswered) {
  const std::string heard =
      raw("GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n"
          "GET /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");

  std::size_t answers = 0;
  for (std::size_t at = heard.find("200 OK"); at != std::string::npos;
       at = heard.find("200 OK", at + 1)) {
    ++answers;
  }
  EXPECT_EQ(answers, 3u) << heard;
}

TEST_F(ServerTlsTest, WhoeverDoesNotSpeakTlsGetsNoAnswer) {
  Peer plain(server_->port());

  plain.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");

  EXPECT_EQ(plain.read_all().find("HTTP/1.1 200"), std::string::npos);
  EXPECT_TRUE(plain.ended());
  EXPECT_THAT(exchange(), IsOk());
}

TEST_F(ServerTlsTest, ASilentPeerIsLeftAndHoldsNobodyUp) {
  Peer silent(server_->port());

  EXPECT_THAT(exchange(), IsOk());

  EXPECT_EQ(silent.read_all(), "");  // after the time for a header
  EXPECT_TRUE(silent.ended());
}

TEST_F(ServerTlsTest, AHeaderThatDoesNotEndIsAnsweredInTime) {
  EXPECT_NE(raw("GET /a HTTP/1.1\r\nHost: h\r\nX: ").find(" 408 "), std::string::npos);
}

TEST_F(ServerTlsTest, APeerThatGoesAwayLeavesNothingBehind) {
  raw("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc", false);

  EXPECT_THAT(exchange(), IsOk());
}

TEST_F(ServerTlsTest, NewCertificatesAreShownToThoseWhoComeThen) {
  ASSERT_THAT(exchange(), IsOk());
  issue("IP:192.0.2.1");

  ASSERT_EQ(certificates_->reload().value(), true);

  EXPECT_THAT(exchange(), FailsWith("http.connect"));
  issue("IP:127.0.0.1");
  ASSERT_EQ(certificates_->reload().value(), true);
  EXPECT_EQ(exchange("x").value(), "got x");
}

}  // namespace
}  // namespace isthmus::http
