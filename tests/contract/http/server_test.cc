// The server against peers that err, cheat or dawdle. Raw sockets, because no client would send
// this.
#include "http/server.h"

#include "contract/http/server_fixture.h"
#include "http/live.h"

namespace isthmus::http {
namespace {

using test::FailsWith;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kGet = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr const char* kGetAndClose = "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

int times(std::string_view text, std::string_view part) {
  int count = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

// --- framing -------------------------------------------------------------------------------------

struct Attack {
  const char* name;
  std::string request;
  const char* answer;  // how it starts
};

class FramingAttack : public ServerTest, public ::testing::WithParamInterface<Attack> {};

TEST_P(FramingAttack, IsRefusedAndTheConnectionEnded) {
  start();
  // What follows would be a second request for whoever frames the first one differently.
  const std::string smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";

  const std::string text = answer(GetParam().request + smuggled);

  EXPECT_THAT(text, StartsWith(GetParam().answer));
  EXPECT_THAT(text, HasSubstr("Connection: close"));
  EXPECT_THAT(text, Not(HasSubstr("/smuggled=")));
  EXPECT_EQ(count_.finished, 0);
  EXPECT_EQ(refused("framing"), 1);
}

const std::string kPost = "POST /a HTTP/1.1\r\nHost: h\r\n";
const std::string kChunkedPost = kPost + "Transfer-Encoding: chunked\r\n\r\n";

INSTANTIATE_TEST_SUITE_P(
    Requests, FramingAttack,
    ::testing::Values(
        Attack{"LengthThenCoding",
               kPost + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
               "HTTP/1.1 400"},
        Attack{"CodingThenLength",
               kPost + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
               "HTTP/1.1 400"},
        Attack{"TwoLengths", kPost + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
               "HTTP/1.1 400"},
        Attack{"TheSameLengthTwice", kPost + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
               "HTTP/1.1 400"},
        Attack{"ListOfLengths", kPost + "Content-Length: 5, 5\r\n\r\nabcde", "HTTP/1.1 400"},
        Attack{"LengthOverflow", kPost + "Content-Length: 18446744073709551621\r\n\r\nabcde",
               "HTTP/1.1 400"},
        Attack{"NegativeLength", kPost + "Content-Length: -1\r\n\r\nabcde", "HTTP/1.1 400"},
        Attack{"SignedLength", kPost + "Content-Length: +5\r\n\r\nabcde", "HTTP/1.1 400"},
        Attack{"WordForLength", kPost + "Content-Length: five\r\n\r\nabcde", "HTTP/1.1 400"},
        Attack{"SpaceBeforeColon", kPost + "Content-Length : 5\r\n\r\nabcde", "HTTP/1.1 400"},
        Attack{"OtherCoding", kPost + "Transfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501"},
        Attack{"CodingNotLast", kPost + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
               "HTTP/1.1 501"},
        Attack{"TwoCodings",
               kPost + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
               "HTTP/1.1 400"},
        Attack{"CodingInOldVersion",
               "POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 400"},
        Attack{"ChunkSizeNoHex", kChunkedPost + "xyz\r\nabc\r\n0\r\n\r\n", "HTTP/1.1 400"},
        Attack{"ChunkSizeNegative", kChunkedPost + "-5\r\nabcde\r\n0\r\n\r\n", "HTTP/1.1 400"},
        Attack{"ChunkSizeOverflow", kChunkedPost + "10000000000000005\r\nabcde\r\n0\r\n\r\n",
               "HTTP/1.1 400"},
        Attack{"ChunkSizeEmpty", kChunkedPost + "\r\nabc\r\n0\r\n\r\n", "HTTP/1.1 400"},
        Attack{"ChunkLongerThanSaid", kChunkedPost + "3\r\nabcde\r\n0\r\n\r\n", "HTTP/1.1 400"},
        Attack{"ChunkLineEndedByNewline", kChunkedPost + "3\nabc\n0\n\n", "HTTP/1.1 400"},
        Attack{"ChunkExtensionEndless", kChunkedPost + "3;" + std::string(100'000, 'x'),
               "HTTP/1.1 400"},
        Attack{"NoHost", "GET /a HTTP/1.1\r\n\r\n", "HTTP/1.1 400"},
        Attack{"TwoHosts", "GET /a HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", "HTTP/1.1 400"},
        Attack{"NewlineInHeader", "GET /a HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", "HTTP/1.1 400"},
        Attack{"NulInHeader", kPost + std::string("X: a\0b\r\n\r\n", 10), "HTTP/1.1 400"},
        Attack{"Garbage", "\x16\x03\x01\x02\r\n\r\n", "HTTP/1.1 400"},
        Attack{"OtherVersion", "GET /a HTTP/2.0\r\nHost: h\r\n\r\n", "HTTP/1.1 505"},
        Attack{"NoPath", "GET a HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 400"},
        Attack{"Tunnel", "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", "HTTP/1.1 400"},
        Attack{"OtherExpectation", kPost + "Expect: a-miracle\r\nContent-Length: 5\r\n\r\nabcde",
               "HTTP/1.1 417"}),
    [](const auto& one) { return one.param.name; });

TEST_F(ServerTest, ChunksWithExtensionsAndTrailersAreServed) {
  start();

  const std::string text =
      answer(kPost + "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" +
             "3;a=b\r\nabc\r\n2;c=\"d\"\r\nde\r\n0;e\r\nTrailer: f\r\n\r\n");

  EXPECT_THAT(text, HasSubstr("/a=abcde."));
}

// Beast 1.74 ends the process here (BOOST_ASSERT(n >= 5)): the reason for a decoder of our own.
TEST_F(ServerTest, ALastChunkMayComeByteByByte) {
  start();
  Peer peer(port());
  peer.send(kChunkedPost);
  for (const char c : std::string("0\r\n\r\n")) {
    peer.send(std::string(1, c));
    std::this_thread::sleep_for(Milliseconds(10));
  }

  EXPECT_THAT(peer.read_until("/a=."), HasSubstr("200 OK"));
}

TEST_F(ServerTest, RequestsInOnePacketAreAnsweredInOrder) {
  start();
  std::string requests;
  for (int i = 0; i < 20; ++i) {
    requests += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\n\r\n";
    requests += "PUT /" + std::to_string(i) +
                " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n0\r\n\r\n";
    requests += "PUT /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nzz";
  }

  const std::string text = answer(requests + kGetAndClose);

  EXPECT_EQ(times(text, "HTTP/1.1 200 OK\r\n"), 61);
  std::size_t at = 0;
  for (int i = 0; i < 20; ++i) {
    for (const char* body : {"=.", "=xy.", "=zz."}) {
      const std::size_t found = text.find("\r\n/" + std::to_string(i) + body, at);
      ASSERT_NE(found, std::string::npos) << i << body;
      at = found;
    }
  }
}

TEST_F(ServerTest, AnAbsoluteTargetIsItsPath) {
  start();

  EXPECT_THAT(answer("GET http://other/x?y HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
              HasSubstr("/x?y=."));
}

TEST_F(ServerTest, AHeadAnswerHasNoBodyAndTheNextAnswerFollows) {
  start();

  const std::string text =
      answer(std::string("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n") + kGetAndClose);

  EXPECT_EQ(times(text, "Content-Length: 4\r\n"), 2);
  EXPECT_EQ(times(text, "/a=."), 1);
  EXPECT_EQ(times(text, "\r\n\r\nHTTP/1.1 200"), 1);
}

TEST_F(ServerTest, AnOldClientIsAnsweredAndLeft) {
  start();

  const std::string text = answer("GET /a HTTP/1.0\r\n\r\n");

  EXPECT_THAT(text, HasSubstr("Connection: close"));
  EXPECT_THAT(text, HasSubstr("/a=."));
}

TEST_F(ServerTest, AnswersHaveADate) {
  start();

  const std::string text = answer(kGetAndClose);

  const std::size_t at = text.find("Date: ");
  ASSERT_NE(at, std::string::npos);
  EXPECT_TRUE(from_http_date(text.substr(at + 6, 29)).has_value());
}

// --- bodies --------------------------------------------------------------------------------------

TEST_F(ServerTest, WhoExpects100ContinueIsToldToGoOn) {
  start();
  Peer peer(port());

  peer.send(kPost + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(peer.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  peer.send("abcde");

  EXPECT_THAT(peer.read_until("/a=abcde."), StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, ARefusalComesInsteadOf100Continue) {
  handler_.on_open = [](const Head&) {
    return answer_with(text_response(403, "text/plain", "no"));
  };
  start();
  Peer peer(port());

  peer.send(kPost + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");

  EXPECT_THAT(peer.read_until("no"), StartsWith("HTTP/1.1 403"));
}

TEST_F(ServerTest, ABodyBeyondTheLimitIsRefusedByItsLengthAlone) {
  options_.body_bytes = 1'000;
  start();

  EXPECT_THAT(answer(kPost + "Content-Length: 4294967295\r\n\r\n"), StartsWith("HTTP/1.1 413"));
  EXPECT_EQ(count_.opened, 0);
  EXPECT_EQ(refused("body_bytes"), 1);
  EXPECT_THAT(
      answer(kPost + "Connection: close\r\nContent-Length: 1000\r\n\r\n" + std::string(1'000, 'x')),
      StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, AChunkedBodyBeyondTheLimitIsRefusedOnTheWay) {
  options_.body_bytes = 100'000;
  start();
  Peer peer(port());
  peer.send(kChunkedPost);
  const std::string chunk = "1000\r\n" + std::string(0x1000, 'x') + "\r\n";
  for (int i = 0; i < 100; ++i) peer.send(chunk);

  EXPECT_THAT(peer.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 413"));
  ASSERT_TRUE(count_.destroyed.wait());
  EXPECT_EQ(count_.destroyed_unfinished, 1);
}

TEST_F(ServerTest, ABodyThatEndsBeforeItsLengthNeverFinishes) {
  start();
  {
    Peer peer(port());
    peer.send(kPost + "Content-Length: 10\r\n\r\nabc");
  }

  ASSERT_TRUE(count_.destroyed.wait());
  EXPECT_EQ(count_.finished, 0);
  EXPECT_EQ(count_.destroyed_unfinished, 1);
}

TEST_F(ServerTest, AChunkedBodyThatIsCutNeverFinishes) {
  start();
  {
    Peer peer(port());
    peer.send(kChunkedPost + "5\r\nabcde\r\n");
    peer.half_close();
    EXPECT_THAT(peer.read_all(), StartsWith("HTTP/1.1 400"));
    EXPECT_TRUE(peer.ended());
  }

  ASSERT_TRUE(count_.destroyed.wait());
  EXPECT_EQ(count_.finished, 0);
}

TEST_F(ServerTest, AThrowingFeedIs500AndTheRestIsNotRead) {
  handler_.on_open = [this](const Head&) {
    auto opened = std::make_unique<TestExchange>(count_);
    opened->on_feed = [](ByteSpan) -> bool { throw std::runtime_error("bug"); };
    return opened;
  };
  start();

  EXPECT_THAT(answer(kPost + "Content-Length: 5\r\n\r\nabcde"), StartsWith("HTTP/1.1 500"));
  EXPECT_TRUE(env_.log.contains("error http.handler_failed"));
  EXPECT_EQ(count_.destroyed_unfinished, 1);
}

class CutSource : public ByteSource {
 public:
  explicit CutSource(std::uint64_t good) : good_(good) {}
  std::uint64_t size() const override { return 1 * MiB; }
  Result<std::size_t> read(MutableByteSpan into) override {
    if (given_ >= good_) return permanent_error("disk.io", "gone");
    const auto count = std::min<std::size_t>(into.size(), good_ - given_);
    given_ += count;
    return count;
  }
  Result<void> rewind() override { return {}; }

 private:
  const std::size_t good_;
  std::size_t given_ = 0;
};

TEST_F(ServerTest, AnAnswerThatCannotBeReadAtAllIs500) {
  handler_.on_open = [](const Head&) {
    return answer_with(Response{.status = 200, .body = std::make_unique<CutSource>(1000)});
  };
  start();

  EXPECT_THAT(answer(kGetAndClose), StartsWith("HTTP/1.1 500"));
}

TEST_F(ServerTest, AnAnswerThatBreaksOffIsShorterThanItsLength) {
  handler_.on_open = [](const Head&) {
    return answer_with(Response{.status = 200, .body = std::make_unique<CutSource>(600'000)});
  };
  start();

  const std::string text = answer(kGet);

  EXPECT_THAT(text, HasSubstr("Content-Length: 1048576"));
  EXPECT_LT(text.size(), 1'048'576U);
  EXPECT_TRUE(env_.log.contains("warn http.answer_cut code=disk.io"));
}

// --- limits and time -----------------------------------------------------------------------------

TEST_F(ServerTest, AHeaderOf64MegabytesIsRefusedInBoundedMemory) {
  start();
  Peer peer(port());
  const std::uint64_t before = resident_bytes();
  std::uint64_t most = before;
  peer.send("GET /a HTTP/1.1\r\nHost: h\r\nX: ");
  const std::string megabyte(1 * MiB, 'x');
  for (int i = 0; i < 64 && peer.send(megabyte); ++i) most = std::max(most, resident_bytes());

  EXPECT_THAT(peer.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 431"));
  EXPECT_LT(most - before, 8 * MiB);
  EXPECT_EQ(refused("header_bytes"), 1);
}

TEST_F(ServerTest, ManySmallHeadersAreRefusedToo) {
  start();
  std::string request = "GET /a HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i < 10'000; ++i) request += "X" + std::to_string(i) + ": y\r\n";

  EXPECT_THAT(answer(request + "\r\n"), StartsWith("HTTP/1.1 431"));
}

TEST_F(ServerTest, ATargetBeyondTheHeaderLimitIsRefused) {
  start();

  EXPECT_THAT(answer("GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n"),
              StartsWith("HTTP/1.1 431"));
}

TEST_F(ServerTest, AHeaderThatDripsIsEnded) {
  options_.header_timeout = Milliseconds(300);
  start();
  Peer peer(port());
  const auto start_time = std::chrono::steady_clock::now();
  std::thread dripping([&] {
    for (const char c :
         std::string("GET /a HTTP/1.1\r\nHost: hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh")) {
      if (!peer.send(std::string(1, c))) return;
      std::this_thread::sleep_for(Milliseconds(20));
    }
  });

  const std::string text = peer.read_until("\r\n\r\n");
  const auto took = std::chrono::steady_clock::now() - start_time;
  dripping.join();

  EXPECT_THAT(text, StartsWith("HTTP/1.1 408"));
  EXPECT_LT(took, Milliseconds(1'000));
  EXPECT_EQ(refused("header_timeout"), 1);
}

TEST_F(ServerTest, ASilentConnectionIsEnded) {
  options_.header_timeout = Milliseconds(200);
  start();
  Peer peer(port());

  EXPECT_EQ(peer.read_all(), "");
  EXPECT_TRUE(peer.ended());
}

TEST_F(ServerTest, AnIdleConnectionIsEndedAfterKeepAlive) {
  options_.keep_alive_timeout = Milliseconds(300);
  start();
  Peer peer(port());
  peer.send(kGet);
  EXPECT_THAT(peer.read_until("/a=."), HasSubstr("Connection: keep-alive"));
  const auto idle_since = std::chrono::steady_clock::now();

  EXPECT_EQ(peer.read_all(), "");
  EXPECT_TRUE(peer.ended());
  EXPECT_GE(std::chrono::steady_clock::now() - idle_since, Milliseconds(250));
}

TEST_F(ServerTest, ABodyThatStallsIsEnded) {
  options_.body_idle_timeout = Milliseconds(300);
  start();
  Peer peer(port());
  peer.send(kPost + "Content-Length: 10\r\n\r\nabc");

  EXPECT_THAT(peer.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 408"));
  ASSERT_TRUE(count_.destroyed.wait());
  EXPECT_EQ(count_.finished, 0);
  EXPECT_EQ(refused("body_timeout"), 1);
}

TEST_F(ServerTest, APeerThatDoesNotReadItsAnswerIsEnded) {
  options_.body_idle_timeout = Milliseconds(300);
  handler_.on_open = [](const Head&) {
    return answer_with(Response{.status = 200, .body = std::make_unique<PatternSource>(1 * GiB)});
  };
  start();
  Peer peer(port());
  peer.send(kGet);
  EXPECT_THAT(peer.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(metric("isthmus_http_connections"), 1);
  for (int i = 0; i < 100 && metric("isthmus_http_connections") != 0; ++i) {
    std::this_thread::sleep_for(Milliseconds(50));
  }

  EXPECT_EQ(metric("isthmus_http_connections"), 0);
}

TEST_F(ServerTest, IdleConnectionsBlockNeitherRequestsNorTheRefusalOfOneTooMany) {
  options_.connections = 256;
  options_.threads = 2;
  options_.header_timeout = Milliseconds(20'000);
  start();
  std::vector<std::unique_ptr<Peer>> idle;
  for (int i = 0; i < 255; ++i) {
    idle.push_back(std::make_unique<Peer>(port()));
    ASSERT_TRUE(idle.back()->connected());
    if (i % 2 == 0) idle.back()->send("GET /a HTT");  // in the middle of a header
  }

  Peer working(port());
  working.send(kGet);
  EXPECT_THAT(working.read_until("/a=."), StartsWith("HTTP/1.1 200"));

  Peer one_too_many(port());
  one_too_many.send(kGet);
  const std::string refusal = one_too_many.read_all(Milliseconds(3'000));
  EXPECT_THAT(refusal, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(refusal, HasSubstr("Retry-After: 1"));
  EXPECT_EQ(refused("connections"), 1);

  working.send(kGet);
  EXPECT_THAT(working.read_until("/a=."), StartsWith("HTTP/1.1 200"));

  idle.clear();
  Peer after(port());
  for (int i = 0; i < 100 && metric("isthmus_http_connections") > 10; ++i) {
    std::this_thread::sleep_for(Milliseconds(20));
  }
  Peer later(port());
  later.send(kGet);
  EXPECT_THAT(later.read_until("/a=."), StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, AFloodOfConnectionsTooManyIsAnsweredOrEnded) {
  options_.connections = 4;
  start();
  std::vector<std::unique_ptr<Peer>> peers;
  for (int i = 0; i < 200; ++i) peers.push_back(std::make_unique<Peer>(port()));

  int answered = 0, ended = 0;
  for (std::size_t i = 4; i < peers.size(); ++i) {
    const std::string text = peers[i]->read_all();
    answered += text.starts_with("HTTP/1.1 503");
    ended += peers[i]->ended();
  }

  EXPECT_GT(answered, 0);
  EXPECT_EQ(ended, 196);
  EXPECT_EQ(refused("connections"), 196);
}

TEST_F(ServerTest, SlowBodiesDoNotHoldTheWorkers) {
  options_.threads = 1;
  options_.body_idle_timeout = Milliseconds(20'000);
  start();
  std::vector<std::unique_ptr<Peer>> slow;
  for (int i = 0; i < 20; ++i) {
    slow.push_back(std::make_unique<Peer>(port()));
    slow.back()->send(kPost + "Content-Length: 10\r\n\r\nabc");
  }

  Peer quick(port());
  quick.send(kGet);

  EXPECT_THAT(quick.read_until("/a=.", Milliseconds(3'000)), StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, APeerThatIsToPauseHoldsNoWorkerAndIsReadNoFurther) {
  options_.threads = 1;
  Gate paused;
  std::atomic<std::size_t> taken = 0;
  handler_.on_open = [&](const Head& head) {
    auto opened = std::make_unique<TestExchange>(count_);
    if (head.method == "GET") return opened;
    opened->on_feed = [&](ByteSpan piece) {
      taken += piece.size();
      return true;
    };
    opened->on_pause = [&] {
      paused.open();
      return Milliseconds(400);
    };
    return opened;
  };
  start();
  Peer peer(port());
  const auto begun = std::chrono::steady_clock::now();
  std::thread sending(
      [&] { peer.send(kPost + "Content-Length: 600000\r\n\r\n" + std::string(600'000, 'x')); });
  ASSERT_TRUE(paused.wait());
  const std::size_t before = taken;

  Peer quick(port());
  quick.send(kGet);
  EXPECT_THAT(quick.read_until("done", Milliseconds(3'000)), StartsWith("HTTP/1.1 200"));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, Milliseconds(400));
  EXPECT_EQ(taken, before);

  EXPECT_THAT(peer.read_until("done"), StartsWith("HTTP/1.1 200"));
  sending.join();
  EXPECT_EQ(taken, 600'000U);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, Milliseconds(800));
}

TEST_F(ServerTest, IdleConnectionsHoldLittleMemory) {
  options_.connections = 500;
  handler_.on_open = [this](const Head&) { return std::make_unique<TestExchange>(count_); };
  start();
  std::vector<std::unique_ptr<Peer>> idle;
  const auto touch = [&] {
    idle.push_back(std::make_unique<Peer>(port()));
    idle.back()->send(kPost + "Content-Length: 200000\r\n\r\n" + std::string(200'000, 'x'));
    ASSERT_THAT(idle.back()->read_until("done"), HasSubstr("200 OK"));
  };
  for (int i = 0; i < 20; ++i) touch();  // what the process needs anyway
  const std::uint64_t before = resident_bytes();

  for (int i = 0; i < 200; ++i) touch();

  EXPECT_LT(resident_bytes() - std::min(before, resident_bytes()), 200 * 20 * KiB);
}

// --- answers that go on --------------------------------------------------------------------------

// Says what it is told, piece by piece.
class ToldBody : public LiveBody {
 public:
  struct Told {
    std::mutex mutex;
    std::vector<std::optional<std::string>> pieces;
    int alive = 0;
    void say(std::optional<std::string> piece) {
      const std::lock_guard lock(mutex);
      pieces.push_back(std::move(piece));
    }
  };
  explicit ToldBody(Told& told) : LiveBody("begin\n"), told_(told) {
    const std::lock_guard lock(told_.mutex);
    ++told_.alive;
  }
  ~ToldBody() override {
    const std::lock_guard lock(told_.mutex);
    --told_.alive;
  }
  std::optional<std::string> next() override {
    const std::lock_guard lock(told_.mutex);
    if (told_.pieces.empty()) return "";
    auto piece = told_.pieces.front();
    told_.pieces.erase(told_.pieces.begin());
    return piece;
  }
  Milliseconds pause() const override { return Milliseconds(5); }

 private:
  Told& told_;
};

class LiveAnswers : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    handler_.on_open = [this](const Head&) {
      return answer_with(Response{.status = 200, .body = std::make_unique<ToldBody>(told_)});
    };
  }
  ToldBody::Told told_;
};

TEST_F(LiveAnswers, GoOutAsTheyComeAndEndWithTheLastChunk) {
  start();
  Peer peer(port());
  peer.send(kGet);
  EXPECT_THAT(peer.read_until("begin\n\r\n"), HasSubstr("Transfer-Encoding: chunked"));
  EXPECT_EQ(metric("isthmus_http_live_answers"), 1);

  told_.say("one\n");
  EXPECT_THAT(peer.read_until("one\n\r\n"), HasSubstr("4\r\none\n\r\n"));
  told_.say("two\n");
  told_.say(std::nullopt);

  EXPECT_THAT(peer.read_all(), HasSubstr("4\r\ntwo\n\r\n0\r\n\r\n"));
  peer.close();
  EXPECT_EQ(metric("isthmus_http_live_answers"), 0);
}

TEST_F(LiveAnswers, HoldNoThreadWhileThereIsNothingToSay) {
  options_.threads = 1;
  start();
  std::vector<std::unique_ptr<Peer>> listeners;
  for (int i = 0; i < 8; ++i) {
    listeners.push_back(std::make_unique<Peer>(port()));
    listeners.back()->send(kGet);
    listeners.back()->read_until("begin\n");
  }
  handler_.on_open = [](const Head&) {
    return answer_with(text_response(200, "text/plain", "served"));
  };

  EXPECT_THAT(answer(kGetAndClose), HasSubstr("served"));
}

TEST_F(LiveAnswers, BeyondTheLimitAndForOldClientsEndWithTheirBeginning) {
  options_.live_answers = 1;
  start();
  Peer first(port());
  first.send(kGet);
  first.read_until("begin\n");

  EXPECT_THAT(answer(kGetAndClose), AllOf(HasSubstr("Content-Length: 6"), HasSubstr("begin\n")));
  EXPECT_EQ(refused("live_answers"), 1);
  EXPECT_THAT(answer("GET /a HTTP/1.0\r\n\r\n"), HasSubstr("Content-Length: 6"));
  EXPECT_THAT(answer("HEAD /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
              Not(HasSubstr("begin")));
}

TEST_F(LiveAnswers, EndWhenTheirPeerGoesAwayOrTheServerStops) {
  start();
  {
    Peer gone(port());
    gone.send(kGet);
    gone.read_until("begin\n");
  }
  for (int i = 0; i < 200 && metric("isthmus_http_live_answers") != 0; ++i) {
    told_.say("more\n");
    std::this_thread::sleep_for(Milliseconds(10));
  }
  EXPECT_EQ(metric("isthmus_http_live_answers"), 0);
  Peer listener(port());
  listener.send(kGet);
  listener.read_until("begin\n");
  const auto begun = std::chrono::steady_clock::now();

  server_->stop();

  EXPECT_LT(std::chrono::steady_clock::now() - begun, Milliseconds(8'000));
  EXPECT_EQ(told_.alive, 0);
}

TEST_F(ServerTest, AFastBodyDoesNotKeepTheWorkerFromOthers) {
  options_.threads = 1;
  options_.body_bytes = std::uint64_t{1} << 40;
  std::atomic<std::uint64_t> poured = 0;
  handler_.on_open = [&](const Head& head) {
    auto opened = std::make_unique<TestExchange>(count_);
    if (head.method == "GET") return opened;
    opened->on_feed = [&](ByteSpan piece) {
      poured += piece.size();
      return true;
    };
    return opened;
  };
  start();
  const Flood first(port()), second(port());
  while (poured < 8 * MiB) std::this_thread::yield();

  Peer quick(port());
  quick.send(kGet);

  EXPECT_THAT(quick.read_until("done", Milliseconds(10'000)), StartsWith("HTTP/1.1 200"));
}

// --- stopping ------------------------------------------------------------------------------------

TEST_F(ServerTest, StopEndsABodyThatPoursIn) {
  options_.body_bytes = std::uint64_t{1} << 40;
  std::atomic<std::uint64_t> poured = 0;
  handler_.on_open = [&](const Head&) {
    auto opened = std::make_unique<TestExchange>(count_);
    opened->on_feed = [&](ByteSpan piece) {
      poured += piece.size();
      return true;
    };
    return opened;
  };
  start();
  const Flood flood(port());
  while (poured < 8 * MiB) std::this_thread::yield();

  server_->stop();

  EXPECT_EQ(count_.finished, 0);
  EXPECT_EQ(count_.destroyed_unfinished, 1);
}

TEST_F(ServerTest, StopEndsIdleConnectionsAtOnceAndLetsARequestFinish) {
  Gate inside, release;
  handler_.on_open = [&](const Head&) {
    inside.open();
    release.wait();
    return answer_with(text_response(200, "text/plain", "finished"));
  };
  start();
  Peer idle(port()), working(port());
  working.send(kGet);
  ASSERT_TRUE(inside.wait());

  std::thread stopping([&] { server_->stop(); });
  EXPECT_EQ(idle.read_all(Milliseconds(3'000)), "");
  EXPECT_TRUE(idle.ended());
  release.open();
  const std::string text = working.read_all();
  working.close();
  stopping.join();

  EXPECT_THAT(text, HasSubstr("finished"));
  EXPECT_THAT(text, HasSubstr("Connection: close"));
  EXPECT_FALSE(Peer(port()).connected());
  server_->stop();  // twice is once
}

TEST_F(ServerTest, StopDoesNotWaitForABodyThatNeverComes) {
  options_.body_idle_timeout = Milliseconds(60'000);
  start();
  Peer peer(port());
  peer.send(kPost + "Content-Length: 10\r\n\r\nabc");
  while (count_.opened == 0) std::this_thread::yield();
  const auto begun = std::chrono::steady_clock::now();

  server_->stop();

  EXPECT_LT(std::chrono::steady_clock::now() - begun, Milliseconds(8'000));
  EXPECT_EQ(count_.finished, 0);
  EXPECT_EQ(count_.destroyed_unfinished, 1);
}

TEST_F(ServerTest, AnAddressThatIsTakenOrNotOursIsPermanent) {
  start();
  ServerOptions taken;
  taken.port = port();
  ServerOptions foreign;
  foreign.address = "192.0.2.1";
  ServerOptions nonsense;
  nonsense.address = "not an address";

  EXPECT_THAT(listen(env_, handler_, taken), FailsWith("http.bind", Fate::permanent));
  EXPECT_THAT(listen(env_, handler_, foreign), FailsWith("http.bind", Fate::permanent));
  EXPECT_THAT(listen(env_, handler_, nonsense), FailsWith("http.bind", Fate::permanent));
}

TEST_F(ServerTest, AnswersAreCountedByClass) {
  handler_.on_open = [](const Head& head) {
    return answer_with(text_response(std::stoi(head.target.substr(1)), "text/plain", "x"));
  };
  start();
  for (const char* status : {"200", "201", "404", "503"}) {
    answer("GET /" + std::string(status) + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  }

  EXPECT_EQ(metric("isthmus_http_requests_total{status=\"2xx\"}"), 2);
  EXPECT_EQ(metric("isthmus_http_requests_total{status=\"4xx\"}"), 1);
  EXPECT_EQ(metric("isthmus_http_requests_total{status=\"5xx\"}"), 1);
}

}  // namespace
}  // namespace isthmus::http
