// What the client makes of servers that misbehave: canned bytes, cut connections, silence.
#include "http/client.h"
#include "contract/http/fixtures.h"
#include "http/server.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::http {
namespace {

using test::FailsWith;
using test::IsOk;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ClientTest : public ::testing::Test {
 protected:
  // One request with its body taken off the wire; the header text.
  static std::string take_request(Peer& peer) { return peer.read_until("\r\n\r\n"); }

  std::string text(Result<Response> response) {
    if (!response.ok()) return describe(response.error());
    Result<std::string> body = read_all(*response->body, 10 * MiB);
    return body.ok() ? *body : describe(body.error());
  }

  test::TestEnv env_{1, posix_files(), true};
  std::unique_ptr<Transport> client_ = make_client(env_, {});
};

TEST_F(ClientTest, NobodyThereIsConnect) {
  std::uint16_t port = 0;
  {
    TestHandler handler;
    ASSERT_OK_AND_ASSIGN(const auto server, listen(env_, handler, {}));
    port = server->port();
  }

  EXPECT_THAT(client_->send({.url = "http://127.0.0.1:" + std::to_string(port) + "/"}),
              FailsWith("http.connect", Fate::transient));
}

TEST_F(ClientTest, ANameThatNobodyKnowsIsConnect) {
  EXPECT_THAT(client_->send({.url = "http://nobody.invalid/"}),
              FailsWith("http.connect", Fate::transient));
}

TEST_F(ClientTest, AServerThatSpeaksNoTlsIsConnect) {
  CannedServer server([](Peer& peer, int) { peer.send("HTTP/1.1 400 Bad Request\r\n\r\n"); });

  EXPECT_THAT(client_->send({.url = "https" + server.url().substr(4)}),
              FailsWith("http.connect", Fate::transient));
}

TEST_F(ClientTest, SilenceIsTimeoutAfterTheTimeOfTheRequest) {
  Gate done;
  CannedServer server([&](Peer& peer, int) {
    take_request(peer);
    done.wait();
  });
  const auto start = std::chrono::steady_clock::now();

  EXPECT_THAT(client_->send({.url = server.url(), .timeout = Milliseconds(200)}),
              FailsWith("http.timeout", Fate::transient));

  const auto took = std::chrono::steady_clock::now() - start;
  done.open();
  EXPECT_GE(took, Milliseconds(199));  // whole milliseconds
  EXPECT_LT(took, Milliseconds(5'000));
}

TEST_F(ClientTest, DrippingBytesDoNotStretchTheTime) {
  std::atomic<bool> go_on = true;
  CannedServer server([&](Peer& peer, int) {
    take_request(peer);
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    while (go_on && peer.send("x")) std::this_thread::sleep_for(Milliseconds(20));
  });

  EXPECT_THAT(client_->send({.url = server.url(), .timeout = Milliseconds(300)}),
              FailsWith("http.timeout", Fate::transient));
  go_on = false;
}

TEST_F(ClientTest, ABodyOfARequestThatWasGivenUpIsNotTouchedAgain) {
  Gate done;
  CannedServer server([&](Peer& peer, int) {
    take_request(peer);
    done.wait();
    peer.read_all(Milliseconds(200));
  });
  const auto body = std::make_shared<PatternSource>(64 * MiB);

  EXPECT_THAT(
      client_->send(
          {.method = "PUT", .url = server.url(), .body = body, .timeout = Milliseconds(200)}),
      FailsWith("http.timeout"));

  const std::uint64_t given = body->given();
  done.open();
  std::this_thread::sleep_for(Milliseconds(100));
  EXPECT_EQ(body->given(), given);
}

TEST_F(ClientTest, AnEndBeforeTheAnswerIsClosed) {
  CannedServer server([](Peer& peer, int) { take_request(peer); });

  EXPECT_THAT(client_->send({.url = server.url()}), FailsWith("http.closed", Fate::transient));
}

TEST_F(ClientTest, AnEndWithinTheRequestsBodyIsClosed) {
  CannedServer server([](Peer& peer, int) { take_request(peer); });

  EXPECT_THAT(client_->send({.method = "PUT",
                             .url = server.url(),
                             .body = std::make_shared<PatternSource>(64 * MiB)}),
              FailsWith("http.closed", Fate::transient));
}

TEST_F(ClientTest, AnEndWithinASmallAnswerIsAnErrorOfSend) {
  CannedServer server([](Peer& peer, int) {
    take_request(peer);
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
  });

  EXPECT_THAT(client_->send({.url = server.url()}), FailsWith("http.closed", Fate::transient));
}

TEST_F(ClientTest, AnEndWithinALargeAnswerIsAnErrorOfItsReading) {
  CannedServer server([](Peer& peer, int) {
    take_request(peer);
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + std::string(2'000'000, 'a'));
  });

  ASSERT_OK_AND_ASSIGN(Response response, client_->send({.url = server.url()}));

  EXPECT_EQ(response.body->size(), 10'000'000U);
  EXPECT_THAT(read_all(*response.body, 10 * MiB), FailsWith("http.closed", Fate::transient));
}

TEST_F(ClientTest, AnswersOfUntoldLengthAreThereWhole) {
  CannedServer server([](Peer& peer, int connection) {
    take_request(peer);
    if (connection == 1) {
      peer.send(
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
          "5\r\nabcde\r\n3;x=y\r\nfgh\r\n0\r\nTrailer: t\r\n\r\n");
    } else {
      peer.send("HTTP/1.0 200 OK\r\n\r\nuntil the end");
    }
  });

  EXPECT_EQ(text(client_->send({.url = server.url()})), "abcdefgh");
  ASSERT_OK_AND_ASSIGN(Response response, client_->send({.url = server.url()}));
  EXPECT_EQ(response.body->size(), 13U);
  EXPECT_EQ(read_all(*response.body, 100).value(), "until the end");
}

TEST_F(ClientTest, AnAnswerWithoutLengthAndEndIsTooLarge) {
  CannedServer server([](Peer& peer, int) {
    take_request(peer);
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    const std::string chunk = "40000\r\n" + std::string(0x40000, 'a') + "\r\n";
    while (peer.send(chunk)) {
    }
  });

  EXPECT_THAT(client_->send({.url = server.url()}), FailsWith("http.too_large", Fate::permanent));
}

TEST_F(ClientTest, ACompressedAnswerIsLeftAsItIs) {
  CannedServer server([](Peer& peer, int) {
    const std::string head = take_request(peer);
    EXPECT_THAT(head, Not(HasSubstr("Accept-Encoding")));
    peer.send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1F\x8B__");
  });

  EXPECT_EQ(text(client_->send({.url = server.url()})), "\x1F\x8B__");
}

TEST_F(ClientTest, SmallAnswersCanBeReadAgainLargeOnesNot) {
  TestHandler handler;
  handler.on_open = [](const Head& head) {
    Response response;
    response.body = std::make_unique<PatternSource>(head.target == "/small" ? 1'000 : 5'000'000);
    return answer_with(std::move(response));
  };
  ASSERT_OK_AND_ASSIGN(const auto server, listen(env_, handler, {}));
  const std::string base = "http://127.0.0.1:" + std::to_string(server->port());

  ASSERT_OK_AND_ASSIGN(Response small, client_->send({.url = base + "/small"}));
  ASSERT_OK_AND_ASSIGN(Response large, client_->send({.url = base + "/large"}));

  ASSERT_THAT(read_all(*small.body, 1 * MiB), IsOk());
  EXPECT_THAT(small.body->rewind(), IsOk());
  EXPECT_THAT(large.body->rewind(), IsOk());  // nothing was read yet
  Bytes some(10);
  ASSERT_THAT(large.body->read(some), IsOk());
  EXPECT_THAT(large.body->rewind(), FailsWith("http.not_rewindable", Fate::permanent));
}

TEST_F(ClientTest, DroppingALargeAnswerEndsItAndTheNextRequestIsFine) {
  TestHandler handler;
  handler.on_open = [](const Head&) {
    Response response;
    response.body = std::make_unique<PatternSource>(64 * MiB);
    return answer_with(std::move(response));
  };
  ASSERT_OK_AND_ASSIGN(const auto server, listen(env_, handler, {}));
  const std::string url = "http://127.0.0.1:" + std::to_string(server->port()) + "/";
  for (int i = 0; i < 20; ++i) {
    ASSERT_OK_AND_ASSIGN(Response response, client_->send({.url = url}));
    Bytes some(1000);
    ASSERT_OK_AND_ASSIGN(const std::size_t got, response.body->read(some));
    ASSERT_GT(got, 0U);
    ASSERT_EQ(some[0], pattern_at(0));
  }
}

TEST_F(ClientTest, ConnectionsAreReused) {
  std::atomic<int> requests = 0;
  CannedServer server([&](Peer& peer, int) {
    while (!take_request(peer).empty()) {
      ++requests;
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
  });
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(text(client_->send({.url = server.url()})), "ok");
    // The library gives a connection back just after it has told us of the answer.
    std::this_thread::sleep_for(Milliseconds(2));
  }
  client_.reset();

  EXPECT_EQ(requests, 50);
  EXPECT_LE(server.connections(), 2);
}

// Answers one request of a body of three bytes, or none, and ends the connection without a warning.
void answer_once(Peer& peer) {
  std::string request = peer.read_until("\r\n\r\n");
  const bool has_body = request.find("Content-Length") != std::string::npos;
  while (has_body && !request.ends_with("abc")) {
    const std::string more = peer.read_until("c");
    if (more.empty()) return;
    request += more;
  }
  peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

TEST_F(ClientTest, AnIdleConnectionThatWasClosedMeanwhileCostsNothing) {
  CannedServer server([&](Peer& peer, int) { answer_once(peer); });
  for (int i = 0; i < 10; ++i) {
    const std::shared_ptr<ByteSource> body = source_of(std::string("abc"));
    ASSERT_EQ(text(client_->send({.method = "PUT", .url = server.url(), .body = body})), "ok");
    std::this_thread::sleep_for(Milliseconds(10));
    ASSERT_EQ(text(client_->send({.url = server.url()})), "ok");
    std::this_thread::sleep_for(Milliseconds(10));
  }
}

TEST_F(ClientTest, WhatMustNotHappenTwiceIsNotSentAgainButTheNextTryIsOnANewConnection) {
  CannedServer server([&](Peer& peer, int) { answer_once(peer); });
  for (int i = 0; i < 5; ++i) {
    const std::shared_ptr<ByteSource> body = source_of(std::string("abc"));
    const Request request{.method = "POST", .url = server.url(), .body = body};
    ASSERT_EQ(text(client_->send(request)), "ok");
    std::this_thread::sleep_for(Milliseconds(10));
    ASSERT_THAT(client_->send(request), AnyOf(FailsWith("http.closed"), FailsWith("http.connect")));
  }
}

TEST_F(ClientTest, ManyIdleConnectionsThatWereClosedCostOneTryAtMost) {
  constexpr int kIdle = 6;
  std::atomic<int> together = 0;
  Gate all_there;
  TestHandler handler;
  handler.on_open = [&](const Head& head) {
    if (head.method == "GET") {  // holds them until there are kIdle connections
      if (++together == kIdle) all_there.open();
      all_there.wait();
    }
    return gather(100, [](std::string) { return text_response(200, "text/plain", "ok"); });
  };
  ServerOptions options;
  options.keep_alive_timeout = Milliseconds(200);
  ASSERT_OK_AND_ASSIGN(const auto server, listen(env_, handler, options));
  const std::string url = "http://127.0.0.1:" + std::to_string(server->port()) + "/";
  std::vector<std::thread> threads;
  for (int i = 0; i < kIdle; ++i) {
    threads.emplace_back([&] { EXPECT_EQ(text(client_->send({.url = url})), "ok"); });
  }
  for (std::thread& thread : threads) thread.join();
  std::this_thread::sleep_for(Milliseconds(500));  // the server ends them all

  const std::shared_ptr<ByteSource> body = source_of(std::string("abc"));
  int failed = 0;
  while (!client_->send({.method = "POST", .url = url, .body = body}).ok()) ++failed;

  EXPECT_LE(failed, 1);
}

TEST_F(ClientTest, NothingIsSentThatWasNotAskedFor) {
  std::string head;
  CannedServer server([&](Peer& peer, int) {
    head = take_request(peer);
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  });

  ASSERT_THAT(client_->send({.method = "PUT",
                             .url = server.url("/a%20b//c?x=%2B"),
                             .headers = {{"X-Amz-Date", "20260131T093000Z"},
                                         {"Expect", "100-continue"},
                                         {"Transfer-Encoding", "chunked"}},
                             .body = source_of(std::string())}),
              IsOk());

  EXPECT_THAT(head, ::testing::StartsWith("PUT /a%20b//c?x=%2B HTTP/1.1\r\n"));
  EXPECT_THAT(head, HasSubstr("X-Amz-Date:20260131T093000Z\r\n"));
  EXPECT_THAT(head, HasSubstr("Content-Length:0\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("Expect")));
  EXPECT_THAT(head, Not(HasSubstr("Transfer-Encoding")));
  EXPECT_THAT(head, Not(HasSubstr("Content-Type")));
}

}  // namespace
}  // namespace isthmus::http
