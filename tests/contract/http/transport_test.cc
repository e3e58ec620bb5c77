// What every Transport promises, on the loopback and on the real client in front of the real
// server.
#include "contract/http/fixtures.h"
#include "http/client.h"
#include "http/loopback.h"
#include "http/server.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::http {
namespace {

using test::FailsWith;
using test::IsOk;
using ::testing::HasSubstr;

enum class Kind { loopback, sockets };

class TransportContract : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (GetParam() == Kind::loopback) {
      transport_ = make_loopback(handler_);
      base_ = "http://127.0.0.1:80";
      return;
    }
    ASSERT_OK_AND_ASSIGN(server_, listen(env_, handler_, {}));
    base_ = "http://127.0.0.1:" + std::to_string(server_->port());
    transport_ = make_client(env_, {});
  }
  void TearDown() override {
    transport_.reset();
    server_.reset();
    EXPECT_TRUE(env_.fatals().empty());
  }

  // Answers with method, target and body, one per line.
  void echo() {
    handler_.on_open = [](const Head& head) {
      return gather(1 * MiB, [head](std::string body) {
        return text_response(200, "text/plain", head.method + "\n" + head.target + "\n" + body);
      });
    };
  }
  std::string text(Result<Response> response) {
    if (!response.ok()) return describe(response.error());
    Result<std::string> body = read_all(*response->body, 1 * MiB);
    return body.ok() ? *body : describe(body.error());
  }
  std::unique_ptr<TestExchange> exchange() { return std::make_unique<TestExchange>(count_); }

  test::TestEnv env_{1, posix_files(), true};
  ExchangeCount count_;
  TestHandler handler_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Transport> transport_;
  std::string base_;
};

TEST_P(TransportContract, TakesMethodTargetAndBodyThere) {
  echo();
  const std::shared_ptr<ByteSource> body = source_of(std::string("a body"));

  EXPECT_EQ(text(transport_->send({.url = base_ + "/a"})), "GET\n/a\n");
  EXPECT_EQ(text(transport_->send({.method = "PUT", .url = base_ + "/a", .body = body})),
            "PUT\n/a\na body");
  EXPECT_EQ(text(transport_->send({.method = "DELETE", .url = base_})), "DELETE\n/\n");
}

TEST_P(TransportContract, TheTargetGoesOutByteForByte) {
  echo();
  for (const std::string target : {"/a%20b",
                                   "/a+b",
                                   "/a%2Fb",
                                   "/a%2fb",
                                   "/%C3%A4%E2%82%AC",
                                   "//a/b",
                                   "/a//b",
                                   "/a/",
                                   "/a//",
                                   "/a/../b/./c",
                                   "/%7Eu~u",
                                   "/a%25b",
                                   "/a:b@c!$&'()*,;=d",
                                   "/k?x=1",
                                   "/k?x=%20+%2B&y=/?:@",
                                   "/k?uploads",
                                   "/k?uploads=",
                                   "/k?x=1&x=2&&a",
                                   "/?list-type=2&prefix=a%2Fb",
                                   "/k?x=a=b"}) {
    EXPECT_EQ(text(transport_->send({.url = base_ + target})), "GET\n" + target + "\n");
  }
}

TEST_P(TransportContract, HeadersArriveBothWays) {
  handler_.on_open = [](const Head& head) {
    Response response = text_response(200, "text/plain", "");
    response.headers.set("X-Seen", std::string(head.headers.get("x-sent")));
    response.headers.set("X-Host", std::string(head.headers.get("Host")));
    response.headers.set("X-Type", std::string(head.headers.get("Content-Type", "none")));
    response.headers.set("ETag", "\"0f\"");
    return answer_with(std::move(response));
  };

  ASSERT_OK_AND_ASSIGN(
      const Response response,
      transport_->send({.url = base_ + "/", .headers = {{"X-Sent", "a; b=\"c\""}}}));

  EXPECT_EQ(response.headers.get("x-seen"), "a; b=\"c\"");
  EXPECT_EQ("http://" + std::string(response.headers.get("X-Host")), base_);
  EXPECT_EQ(response.headers.get("X-Type"), "none");
  EXPECT_EQ(response.headers.get("etag"), "\"0f\"");
}

TEST_P(TransportContract, AHostOfTheCallersIsSent) {
  handler_.on_open = [](const Head& head) {
    return answer_with(text_response(200, "text/plain", std::string(head.headers.get("Host"))));
  };
  const std::string own = base_.substr(7);

  EXPECT_EQ(text(transport_->send({.url = base_ + "/", .headers = {{"Host", "b.example"}}})),
            "b.example");
  EXPECT_EQ(text(transport_->send({.url = base_ + "/", .headers = {{"host", own}}})), own);
}

TEST_P(TransportContract, ABodyOfKnownSizeHasItsLengthAndNoChunks) {
  handler_.on_open = [](const Head& head) {
    return gather(1 * MiB, [head](std::string) {
      return text_response(200, "text/plain",
                           (head.content_length ? std::to_string(*head.content_length) : "none") +
                               " " + std::string(head.headers.get("Transfer-Encoding", "none")) +
                               " " + std::string(head.headers.get("Content-Type", "none")));
    });
  };
  const std::shared_ptr<ByteSource> some = source_of(std::string(300'000, 'x'));
  const std::shared_ptr<ByteSource> empty = source_of(std::string());

  EXPECT_EQ(text(transport_->send({.method = "PUT", .url = base_ + "/", .body = some})),
            "300000 none none");
  EXPECT_EQ(text(transport_->send(
                {.method = "PUT",
                 .url = base_ + "/",
                 .headers = {{"Content-Type", "application/dicom"}, {"Content-Length", "7"}},
                 .body = empty})),
            "0 none application/dicom");
}

TEST_P(TransportContract, AHeadAnswerTellsTheLengthAndHasNoBody) {
  handler_.on_open = [](const Head& head) {
    if (head.target == "/told") {
      return answer_with(
          Response{.status = 200, .headers = {{"Content-Length", "123456789"}}, .body = nullptr});
    }
    return answer_with(text_response(200, "text/plain", "twelve bytes"));
  };

  ASSERT_OK_AND_ASSIGN(Response opened, transport_->send({.method = "HEAD", .url = base_ + "/"}));
  ASSERT_OK_AND_ASSIGN(Response told, transport_->send({.method = "HEAD", .url = base_ + "/told"}));

  EXPECT_EQ(opened.headers.get("Content-Length"), "12");
  EXPECT_EQ(told.headers.get("Content-Length"), "123456789");
  EXPECT_EQ(read_all(*opened.body, 100).value(), "");
  EXPECT_EQ(read_all(*told.body, 100).value(), "");
}

TEST_P(TransportContract, EveryStatusIsAResponse) {
  handler_.on_open = [](const Head& head) {
    Response response =
        text_response(std::stoi(std::string(head.path().substr(1))), "text/plain", "body");
    response.headers.set("Location", "http://127.0.0.1:1/elsewhere");
    return answer_with(std::move(response));
  };
  for (const int status : {200, 201, 202, 204, 206, 301, 302, 304, 307, 400, 401,
                           403, 404, 409, 412, 413, 416, 429, 500, 501, 503, 507}) {
    ASSERT_OK_AND_ASSIGN(Response response,
                         transport_->send({.url = base_ + "/" + std::to_string(status)}));

    EXPECT_EQ(response.status, status);
    EXPECT_EQ(read_all(*response.body, 100).value(), status == 204 || status == 304 ? "" : "body");
  }
}

TEST_P(TransportContract, AHandlerThatThrowsIs500) {
  handler_.on_open = [](const Head& head) -> std::unique_ptr<Exchange> {
    if (head.target == "/open") throw std::runtime_error("patient Doe");
    return gather(100, [](std::string) -> Response { throw std::logic_error("patient Doe"); });
  };

  EXPECT_EQ(transport_->send({.url = base_ + "/open"})->status, 500);
  EXPECT_EQ(transport_->send({.url = base_ + "/finish"})->status, 500);
  EXPECT_FALSE(env_.log.contains("Doe"));
}

TEST_P(TransportContract, LargeBodiesPassBothWaysInPieces) {
  constexpr std::uint64_t kSize = 64 * MiB + 12'345;
  std::atomic<std::uint64_t> at = 0, wrong = 0;
  std::atomic<std::size_t> largest = 0;
  std::atomic<std::uint64_t> resident = 0;
  handler_.on_open = [&](const Head&) {
    auto opened = exchange();
    opened->on_feed = [&](ByteSpan piece) {
      for (const std::byte byte : piece) wrong += byte != pattern_at(at++);
      largest = std::max(largest.load(), piece.size());
      resident = std::max(resident.load(), resident_bytes());
      return true;
    };
    opened->on_finish = [&] {
      return Response{.status = 200, .body = std::make_unique<PatternSource>(kSize)};
    };
    return opened;
  };
  const auto body = std::make_shared<PatternSource>(kSize);
  const std::uint64_t before = resident_bytes();

  ASSERT_OK_AND_ASSIGN(Response response,
                       transport_->send({.method = "PUT", .url = base_ + "/", .body = body}));

  EXPECT_EQ(at, kSize);
  EXPECT_EQ(wrong, 0U);
  EXPECT_LE(largest, 256 * KiB);
  EXPECT_LE(body->largest_read(), 256 * KiB);
  ASSERT_EQ(response.body->size(), kSize);
  Bytes piece(100'000);
  std::uint64_t got = 0, different = 0;
  for (;;) {
    ASSERT_OK_AND_ASSIGN(const std::size_t count, response.body->read(piece));
    if (count == 0) break;
    for (std::size_t i = 0; i < count; ++i) different += piece[i] != pattern_at(got + i);
    got += count;
    resident = std::max(resident.load(), resident_bytes());
  }
  EXPECT_EQ(got, kSize);
  EXPECT_EQ(different, 0U);
  EXPECT_LT(resident - std::min(before, resident.load()), 16 * MiB);
}

TEST_P(TransportContract, AnEarlyRefusalReachesASenderInTheMiddleOfItsBody) {
  handler_.on_open = [&](const Head&) {
    auto opened = exchange();
    opened->on_feed = [](ByteSpan) { return false; };
    opened->on_finish = [] { return text_response(413, "text/plain", "too much"); };
    return opened;
  };
  const auto body = std::make_shared<PatternSource>(64 * MiB);

  ASSERT_OK_AND_ASSIGN(Response response,
                       transport_->send({.method = "PUT", .url = base_ + "/", .body = body}));

  EXPECT_EQ(response.status, 413);
  EXPECT_EQ(read_all(*response.body, 100).value(), "too much");
  EXPECT_EQ(count_.finished, 1);
}

TEST_P(TransportContract, ASlowHandlerStopsTheReadingOfTheBody) {
  Gate blocked, release;
  handler_.on_open = [&](const Head&) {
    auto opened = exchange();
    opened->on_feed = [&](ByteSpan) {
      blocked.open();
      return release.wait();
    };
    return opened;
  };
  const auto body = std::make_shared<PatternSource>(256 * MiB);
  std::thread sender([&] {
    EXPECT_THAT(transport_->send({.method = "PUT", .url = base_ + "/", .body = body}), IsOk());
  });
  ASSERT_TRUE(blocked.wait());

  // The kernel's buffers fill, then nothing moves: 200 ms without progress is enough to know.
  std::uint64_t given = 0;
  do {
    given = body->given();
    std::this_thread::sleep_for(Milliseconds(200));
  } while (body->given() != given);

  EXPECT_LT(given, 32 * MiB);
  release.open();
  sender.join();
  EXPECT_EQ(body->given(), 256 * MiB);
}

class BrokenSource : public ByteSource {
 public:
  std::uint64_t size() const override { return 10 * MiB; }
  Result<std::size_t> read(MutableByteSpan into) override {
    if (given_ >= 1 * MiB) return permanent_error("disk.io", "The disk gave it up.");
    given_ += into.size();
    return into.size();
  }
  Result<void> rewind() override {
    given_ = 0;
    return {};
  }

 private:
  std::uint64_t given_ = 0;
};

TEST_P(TransportContract, AnErrorOfTheBodyIsTheErrorAndTheHandlerNeverFinishes) {
  handler_.on_open = [&](const Head&) { return exchange(); };

  EXPECT_THAT(transport_->send(
                  {.method = "PUT", .url = base_ + "/", .body = std::make_shared<BrokenSource>()}),
              FailsWith("disk.io", Fate::permanent));

  ASSERT_TRUE(count_.destroyed.wait());
  EXPECT_EQ(count_.opened, 1);
  EXPECT_EQ(count_.finished, 0);
  EXPECT_EQ(count_.destroyed_unfinished, 1);
}

TEST_P(TransportContract, TheBodyIsReadFromItsStart) {
  echo();
  const std::shared_ptr<ByteSource> body = source_of(std::string("abc"));
  ASSERT_THAT(read_all(*body, 10), IsOk());

  EXPECT_EQ(text(transport_->send({.method = "PUT", .url = base_ + "/", .body = body})),
            "PUT\n/\nabc");
}

TEST_P(TransportContract, BadUrlsAndHeadersArePermanent) {
  echo();

  EXPECT_THAT(transport_->send({.url = "nowhere"}), FailsWith("http.bad_url", Fate::permanent));
  EXPECT_THAT(transport_->send({.url = base_ + "/a b"}), FailsWith("http.bad_url"));
  EXPECT_THAT(transport_->send({.url = base_ + "/", .headers = {{"X", "a\r\nY: b"}}}),
              FailsWith("http.bad_header", Fate::permanent));
}

TEST_P(TransportContract, ManyThreadsAtOnce) {
  echo();
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string target = "/" + std::to_string(t) + "/" + std::to_string(i);
        const std::shared_ptr<ByteSource> body = source_of(std::string(5'000, 'b'));
        right += text(transport_->send({.method = "POST", .url = base_ + target, .body = body})) ==
                 "POST\n" + target + "\n" + std::string(5'000, 'b');
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(right, 400);
}

INSTANTIATE_TEST_SUITE_P(Kinds, TransportContract, ::testing::Values(Kind::loopback, Kind::sockets),
                         [](const auto& one) {
                           return one.param == Kind::loopback ? "Loopback" : "Sockets";
                         });

}  // namespace
}  // namespace isthmus::http
