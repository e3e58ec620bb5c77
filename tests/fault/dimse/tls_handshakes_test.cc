// Peers that begin TLS and do not go on, or go on as slowly, as large or as often as they like:
// they cost a waiting socket each, a bounded piece of memory, and nobody else's time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <map>
#include <vector>

#include "support/tls_receiver.h"

namespace isthmus::test {
namespace {

constexpr std::size_t kPeers = 500;

// What a client sends first.
std::string client_hello() {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* ssl = SSL_new(context);
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl, in, out);
  (void)SSL_connect(ssl);
  char* bytes = nullptr;
  const long length = BIO_get_mem_data(out, &bytes);
  std::string hello(bytes, static_cast<std::size_t>(length));
  SSL_free(ssl);
  SSL_CTX_free(context);
  return hello;
}

// The same message, in records of one byte each.
std::string in_tiny_records(const std::string& hello) {
  std::string records;
  for (std::size_t i = 5; i < hello.size(); ++i) {
    records += std::string("\x16\x03\x01\x00\x01", 5) + hello[i];
  }
  return records;
}

std::vector<std::unique_ptr<RawSocket>> many_that_send(TlsReceiver& gate,
                                                       const std::string& bytes) {
  std::vector<std::unique_ptr<RawSocket>> peers;
  for (std::size_t i = 0; i < kPeers; ++i) {
    auto socket = RawSocket::connect("127.0.0.1", gate.receiver->tls_port());
    EXPECT_THAT(socket, IsOk());
    if (!socket.ok()) break;
    EXPECT_THAT((*socket)->send(bytes), IsOk());
    peers.push_back(std::move(socket).value());
  }
  return peers;
}

std::int64_t milliseconds_of_tls_echo(TlsReceiver& gate, const RawTls& client) {
  const auto began = std::chrono::steady_clock::now();
  EXPECT_THAT(gate.echo(client), IsOk());
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               began)
      .count();
}

TEST(TlsHandshakes, ThatStopHalfwayDelayNobody) {
  const std::string hello = client_hello();
  for (const std::string& begun : {hello.substr(0, 3), hello.substr(0, hello.size() - 1), hello}) {
    TlsReceiver gate;
    const RawTls client = gate.client();
    ASSERT_THAT(gate.echo(client), IsOk());
    const std::uint64_t before = resident_bytes();

    const auto peers = many_that_send(gate, begun);
    const auto by_tls = milliseconds_of_tls_echo(gate, client);
    const auto plain = gate.receiver->echo();

    ASSERT_THAT(plain, IsOk());
    EXPECT_LT(by_tls, kSoonMs) << begun.size();
    EXPECT_LT(plain->count(), kSoonMs) << begun.size();
    const std::uint64_t each = (resident_bytes() - std::min(before, resident_bytes())) / kPeers;
    // Before its hello is whole a peer has only its socket and its bytes; then OpenSSL's state.
    const std::uint64_t limit = begun == hello ? 96 * KiB : 8 * KiB;
    EXPECT_TRUE(kSanitized || each < limit) << each << " bytes each at " << begun.size();
    std::printf(
        "%zu bytes of a hello, then silence: %zu peers of %llu bytes each, C-ECHO %lld ms "
        "by TLS, %lld ms plain\n",
        begun.size(), peers.size(), static_cast<unsigned long long>(each),
        static_cast<long long>(by_tls), static_cast<long long>(plain->count()));
  }
}

TEST(TlsHandshakes, ManyAtOnceKeepNoPlainPeerWaiting) {
  const std::string hello = client_hello();
  TlsReceiver gate;
  const RawTls client = gate.client();
  ASSERT_THAT(gate.echo(client), IsOk());
  const auto peers = many_that_send(gate, hello.substr(0, 1));

  for (const auto& peer : peers) ASSERT_THAT(peer->send(hello.substr(1)), IsOk());
  const auto plain = gate.receiver->echo();
  const auto by_tls = milliseconds_of_tls_echo(gate, client);

  ASSERT_THAT(plain, IsOk());
  // Who comes by TLS waits for its turn behind them all: whatever the machine, that takes longer.
  EXPECT_LT(plain->count() * 2, by_tls + 10);
}

TEST(TlsHandshakes, EndWithTheArtimTimer) {
  DimseOptions options;
  options.artim_timeout = Milliseconds(300);
  TlsReceiver gate(options);
  const std::string hello = client_hello();
  for (const std::string& begun : {hello.substr(0, 1), hello}) {
    auto socket = RawSocket::connect("127.0.0.1", gate.receiver->tls_port());
    ASSERT_THAT(socket, IsOk());
    ASSERT_THAT((*socket)->send(begun), IsOk());
    EXPECT_TRUE((*socket)->is_closed_within(Milliseconds(5000)));
  }
  EXPECT_EQ(gate.receiver->handshakes("handshake_timeout"), 2);
  // With the handshake done, the request has what is left of the same time.
  auto silent = RawSocket::connect("127.0.0.1", gate.receiver->tls_port());
  ASSERT_THAT(silent, IsOk());
  ASSERT_THAT((*silent)->secure(gate.client()), IsOk());
  EXPECT_TRUE((*silent)->is_closed_within(Milliseconds(5000)));
  EXPECT_EQ(gate.receiver->refused("artim"), 1);
}

TEST(TlsHandshakes, MayComeInTinyPieces) {
  TlsReceiver gate;
  auto socket = RawSocket::connect("127.0.0.1", gate.receiver->tls_port());
  ASSERT_THAT(socket, IsOk());
  const std::string records = in_tiny_records(client_hello());

  for (const char byte : records) ASSERT_THAT((*socket)->send({&byte, 1}), IsOk());

  // The server's hello, or an alert: it understood that all of it was there.
  ASSERT_FALSE((*socket)->receive_until_closed(Milliseconds(300)).empty());
  EXPECT_THAT(gate.echo(gate.client()), IsOk());
}

TEST(TlsHandshakes, OfGiantsAndGarbageAreRefusedAtOnce) {
  TlsReceiver gate;
  const std::string hello = client_hello();
  const std::vector<std::pair<std::string, std::string>> cases = {
      {std::string("\x16\x03\x01\xff\xff", 5), "malformed_tls"},
      {std::string("\x16\x03\x01\x00\x04\x01\x01\xff\xf0", 9), "malformed_tls"},
      {hello.substr(0, 3) + std::string("\x00\x00", 2), "malformed_tls"},
      {std::string("\x16\x03\x01\x00\x02\x02\x28", 7), "malformed_tls"},
      {hello + std::string("\x17\x03\x03\xff\xff", 5) + std::string(70'000, 'x'), "malformed_tls"},
      {"GET / HTTP/1.0\r\n\r\n", "plain_on_tls_port"},
      {std::string("\x80\x2e\x01\x00\x02", 5), "plain_on_tls_port"},
      {std::string(64, '\0'), "plain_on_tls_port"}};
  std::map<std::string, double> expected;
  for (const auto& [bytes, reason] : cases) {
    auto socket = RawSocket::connect("127.0.0.1", gate.receiver->tls_port());
    ASSERT_THAT(socket, IsOk());
    ignore((*socket)->send(bytes), "the receiver may close before it has everything");
    EXPECT_TRUE((*socket)->is_closed_within(Milliseconds(3000))) << bytes.size();
    expected[reason] += 1;
    EXPECT_EQ(gate.receiver->handshakes(reason), expected[reason]) << bytes.size();
  }
  EXPECT_THAT(gate.echo(gate.client()), IsOk());
}

// Every record of a running association is bounded too, and damage ends it.
TEST(TlsHandshakes, DoneDoNotMakeBytesTrustworthy) {
  TlsReceiver gate;
  for (const std::string& bytes :
       {std::string("\x17\x03\x03\xff\xff", 5) + std::string(70'000, 'x'),
        std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x'), std::string("plain text")}) {
    ASSERT_OK_AND_ASSIGN(
        auto scu, gate.associate(gate.client(), request_for(kCtImageStorage, kExplicitLittle)));
    ASSERT_GT(::send(scu->socket().descriptor(), bytes.data(), bytes.size(), MSG_NOSIGNAL), 0);
    EXPECT_TRUE(scu->socket().is_closed_within(Milliseconds(3000)));
  }
  EXPECT_TRUE(gate.receiver->becomes_idle());
  EXPECT_TRUE(gate.receiver->env.log.contains("end=malformed_tls"));
  EXPECT_TRUE(gate.receiver->env.fatals().empty());
}

TEST(TlsHandshakes, ThatFailDoNotFillTheLog) {
  TlsReceiver gate;
  for (int i = 0; i < 200; ++i) {
    auto socket = RawSocket::connect("127.0.0.1", gate.receiver->tls_port());
    ASSERT_THAT(socket, IsOk());
    ASSERT_THAT((*socket)->send("GET / HTTP/1.0\r\n\r\n"), IsOk());
    EXPECT_TRUE((*socket)->is_closed_within(Milliseconds(3000)));
  }
  EXPECT_EQ(gate.receiver->handshakes("plain_on_tls_port"), 200);
  std::size_t lines = 0;
  for (const std::string& line : gate.receiver->env.log.lines()) {
    lines += line.find("tls.handshake_failed") == std::string::npos ? 0 : 1;
  }
  EXPECT_GE(lines, 20U);
  EXPECT_LE(lines, 60U);  // 20 at once and one a second, however slow the machine is
}

TEST(TlsHandshakes, GiveTheirMemoryBack) {
  TlsReceiver gate;
  const RawTls client = gate.client();
  const RawTls nobody;
  const auto round = [&](int count) {
    for (int i = 0; i < count; ++i) {
      ignore(gate.echo(i % 2 == 0 ? client : nobody), "one of both is refused");
    }
  };
  round(100);
  const std::uint64_t before = resident_bytes();
  round(kSanitized ? 100 : 1000);
  EXPECT_TRUE(kSanitized || resident_bytes() < before + 1 * MiB);
}

}  // namespace
}  // namespace isthmus::test
