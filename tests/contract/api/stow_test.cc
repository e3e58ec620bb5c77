// The Store receiver behind the real listener, against peers that err, cheat or dawdle: an instance
// is stored when its request was whole, and memory does not grow with what is sent.
#include "api/stow.h"

#include "contract/http/fixtures.h"
#include "http/server.h"
#include "support/dicom_factory.h"
#include "support/intake_spool.h"
#include "support/matchers.h"
#include "support/memory_access_rows.h"
#include "support/scripted_authenticator.h"
#include "support/stow_requests.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

using http::Peer;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// A spool whose disk stands still until it is let go.
class StuckSpool : public IntakeSpool {
 public:
  explicit StuckSpool(Env& env) : IntakeSpool(env) { forget_bytes(); }
  Result<std::unique_ptr<IncomingInstance>> begin(const Origin& origin) override {
    TRY_ASSIGN(auto inner, IntakeSpool::begin(origin));
    return std::unique_ptr<IncomingInstance>(std::make_unique<Stuck>(*this, std::move(inner)));
  }
  void let_go() { moving_.open(); }
  std::uint64_t asked() const { return asked_; }

 private:
  class Stuck : public IncomingInstance {
   public:
    Stuck(StuckSpool& spool, std::unique_ptr<IncomingInstance> inner)
        : spool_(spool), inner_(std::move(inner)) {}
    const InstanceId& id() const override { return inner_->id(); }
    Result<void> append(ByteSpan bytes) override {
      spool_.asked_ += bytes.size();
      if (!spool_.moving_.wait(Milliseconds(60'000))) {
        return transient_error("spool.io", "nobody let it go");
      }
      return inner_->append(bytes);
    }
    void dataset_begins() override { inner_->dataset_begins(); }
    Result<Receipt> commit(const Identified& identified) override {
      return inner_->commit(identified);
    }

   private:
    StuckSpool& spool_;
    std::unique_ptr<IncomingInstance> inner_;
  };

  http::Gate moving_;
  std::atomic<std::uint64_t> asked_ = 0;
};

SenderPolicy everybody() {
  SenderPolicy policy;
  policy.mode = SenderMode::open;
  return policy;
}

class StowListener : public ::testing::Test {
 protected:
  void start(Spool& spool) {
    stow_ = api::make_stow_receiver(env_, spool, admission_, senders_, {});
    stow_->add_routes(router_);
    options_.header_timeout = options_.body_idle_timeout = Milliseconds(1'000);
    ASSERT_OK_AND_ASSIGN(server_, http::listen(env_, router_, options_));
  }
  void TearDown() override {
    if (server_) server_->stop();
    EXPECT_TRUE(env_.fatals().empty());
  }
  // Everything that comes back until the listener ends the connection.
  std::string answer(std::string_view request) {
    Peer peer(server_->port());
    peer.send(request);
    peer.half_close();
    std::string text = peer.read_all();
    EXPECT_TRUE(peer.ended()) << "neither an answer nor an end";
    return text;
  }

  TestEnv env_{1, posix_files(), true};
  IntakeSpool spool_{env_};
  Admission admission_{env_, AdmissionOptions{env_.folder(), 0, 0}};
  Senders senders_{everybody()};
  ScriptedAuthenticator authenticator_;
  MemoryAccessRows audit_;
  api::GuardedRouter router_{env_, authenticator_, audit_};
  std::unique_ptr<api::StowReceiver> stow_;
  http::ServerOptions options_;
  std::unique_ptr<http::Server> server_;
};

std::string head(std::string_view more) {
  return "POST /dicom-web/studies HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: " +
         related_type() + "\r\n" + std::string(more) + "\r\n";
}
std::string length_of(std::size_t bytes) {
  return "Content-Length: " + std::to_string(bytes) + "\r\n";
}
std::string chunk(std::string_view bytes, std::string_view extension = "") {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string size;
  for (std::size_t left = bytes.size(); left > 0; left /= 16) size.insert(0, 1, kDigits[left % 16]);
  return size + std::string(extension) + "\r\n" + std::string(bytes) + "\r\n";
}
const std::string kChunked = "Transfer-Encoding: chunked\r\n";

std::string whole_body() {
  DicomRecipe first, second;
  second.sop_instance_uid = "2.25.1001.1.2";
  return related({{make_part10(first)}, {make_part10(second)}});
}

// --- framing: served right, or not a word of success

struct Framed {
  const char* name;
  std::string request;
  const char* answer;  // how it starts; empty: the connection ends without one
  std::size_t stored;  // of the body's two instances, at most
};

std::vector<Framed> framings() {
  const std::string body = whole_body();
  const std::string half = body.substr(0, body.size() / 4);
  const std::string most = body.substr(0, body.size() - 60);
  return {
      {"Whole", head(length_of(body.size())) + body, "HTTP/1.1 200", 2},
      {"InChunks", head(kChunked) + chunk(half) + chunk(body.substr(half.size())) + "0\r\n\r\n",
       "HTTP/1.1 200", 2},
      {"ChunksWithExtensionsAndTrailer",
       head(kChunked) + chunk(body, ";a=b;c=\"d\"") + "0;e\r\nTrailer: f\r\n\r\n", "HTTP/1.1 200",
       2},
      {"LengthAndCoding", head(length_of(body.size()) + kChunked) + chunk(body) + "0\r\n\r\n",
       "HTTP/1.1 400", 0},
      {"TwoLengths", head(length_of(body.size()) + length_of(body.size())) + body, "HTTP/1.1 400",
       0},
      {"OverflowingLength", head("Content-Length: 18446744073709551621\r\n") + body, "HTTP/1.1 400",
       0},
      {"NegativeLength", head("Content-Length: -5\r\n") + body, "HTTP/1.1 400", 0},
      {"LengthTooLong", head(length_of(body.size() + 1)) + body, "HTTP/1.1 400", 2},
      {"LengthTooShort", head(length_of(most.size())) + body, "HTTP/1.1 400", 1},
      {"NoLengthAtAll", head("") + body, "HTTP/1.1 400", 0},
      {"BadChunkSize", head(kChunked) + "zz\r\n" + body + "\r\n0\r\n\r\n", "HTTP/1.1 400", 0},
      {"NegativeChunkSize", head(kChunked) + "-10\r\n" + body + "\r\n0\r\n\r\n", "HTTP/1.1 400", 0},
      {"OverflowingChunkSize", head(kChunked) + "1ffffffffffffffff\r\n" + body, "HTTP/1.1 400", 0},
      {"ChunkBreaksOff", head(kChunked) + chunk(body).substr(0, body.size() / 2), "HTTP/1.1 400",
       1},
      {"NoLastChunk", head(kChunked) + chunk(body), "HTTP/1.1 400", 2},
      {"BadSecondChunk", head(kChunked) + chunk(half) + "xyz\r\n", "HTTP/1.1 400", 0},
      {"BodyBreaksOff", head(length_of(body.size())) + most, "HTTP/1.1 400", 2},
      {"NoClosingDelimiter",
       head(length_of(body.rfind("\r\n--"))) + body.substr(0, body.rfind("\r\n--")), "HTTP/1.1 400",
       1},
  };
}

class StowFraming : public StowListener, public ::testing::WithParamInterface<std::size_t> {};

TEST_P(StowFraming, IsServedRightOrRefused) {
  const Framed framed = framings()[GetParam()];
  SCOPED_TRACE(framed.name);
  start(spool_);

  const std::string text = answer(framed.request);

  EXPECT_THAT(text, StartsWith(framed.answer));
  if (!std::string_view(framed.answer).ends_with("200")) {
    EXPECT_THAT(text, Not(HasSubstr("HTTP/1.1 20")));
  }
  server_->stop();  // exchanges that were dropped are gone now
  EXPECT_LE(spool_.instances().size(), framed.stored);
  EXPECT_EQ(spool_.under_way(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Requests, StowFraming, ::testing::Range<std::size_t>(0, 18),
                         [](const auto& one) { return framings()[one.param].name; });

TEST_F(StowListener, AHeaderOf64MegabytesIsRefused) {
  start(spool_);
  Peer peer(server_->port());
  peer.send("POST /dicom-web/studies HTTP/1.1\r\nHost: h\r\nX: ");
  const std::string megabyte(1 * MiB, 'x');
  for (int i = 0; i < 64 && peer.send(megabyte); ++i) continue;

  EXPECT_THAT(peer.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 431"));
}

TEST_F(StowListener, PipelinedRequestsAreAnsweredInOrder) {
  start(spool_);
  const std::string body = whole_body();
  const std::string first =
      "POST /dicom-web/studies HTTP/1.1\r\nHost: h\r\nContent-Type: " + related_type() + "\r\n" +
      length_of(body.size()) + "\r\n" + body;
  const std::string words = "no multipart";

  const std::string text = answer(first + head(length_of(words.size())) + words);

  EXPECT_THAT(text, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(text.substr(12), HasSubstr("HTTP/1.1 400"));
  EXPECT_EQ(spool_.instances().size(), 2U);
}

TEST_F(StowListener, ABodyIsAskedForOnlyWhenItIsWanted) {
  start(spool_);
  const std::string body = whole_body();
  Peer refused(server_->port());
  refused.send("POST /dicom-web/studies HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\n" +
               length_of(body.size()) + "Expect: 100-continue\r\n\r\n");
  EXPECT_THAT(refused.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 415"));

  Peer asked(server_->port());
  asked.send(head(length_of(body.size()) + "Expect: 100-continue\r\n"));
  EXPECT_THAT(asked.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 100"));
  asked.send(body);
  EXPECT_THAT(asked.read_all(), StartsWith("HTTP/1.1 200"));
}

TEST_F(StowListener, ABodyThatStallsIsEndedWithoutSuccess) {
  start(spool_);
  const std::string body = whole_body();
  Peer peer(server_->port());
  peer.send(head(length_of(body.size())) + body.substr(0, body.size() - 60));

  EXPECT_THAT(peer.read_all(), StartsWith("HTTP/1.1 408"));
}

// --- back-pressure: a disk that stands still stops the socket, not the memory

TEST_F(StowListener, ASlowDiskSlowsTheSocketNotTheMemory) {
  StuckSpool slow(env_);
  options_.threads = 2;
  start(slow);
  constexpr int kPeers = 8;
  constexpr std::size_t kBytes = 32 * MiB;
  DicomRecipe large;
  large.rows = large.columns = 4096;  // 32 MiB of pixels
  const std::string body = related({{make_part10(large)}});
  ASSERT_GT(body.size(), kBytes);
  std::vector<std::thread> senders;
  std::array<std::atomic<std::uint64_t>, kPeers> sent{};
  std::atomic<int> answered = 0;
  const std::uint64_t before = http::resident_bytes();

  for (int i = 0; i < kPeers; ++i) {
    senders.emplace_back([&, i] {
      Peer peer(server_->port());
      peer.send(head(length_of(body.size())));
      for (std::size_t at = 0; at < body.size(); at += 64 * KiB) {
        if (!peer.send(std::string_view(body).substr(at, 64 * KiB))) return;
        sent[static_cast<std::size_t>(i)] += 64 * KiB;
      }
      if (peer.read_all(Milliseconds(60'000)).starts_with("HTTP/1.1 200")) ++answered;
    });
  }
  // Both workers wait for the disk, and what is sent stops growing.
  const auto total = [&sent] {
    std::uint64_t sum = 0;
    for (const auto& one : sent) sum += one;
    return sum;
  };
  std::uint64_t seen = 0;
  for (int same = 0; same < 10;) {
    env_.env().clock.sleep_for(Milliseconds(50));
    same = slow.asked() > 0 && total() == seen ? same + 1 : 0;
    seen = total();
  }
  const std::uint64_t grown = http::resident_bytes() - std::min(before, http::resident_bytes());

  // The rest is in the kernel's socket buffers, which have limits of their own.
  EXPECT_LT(seen, kPeers * kBytes / 2);
  EXPECT_LT(grown, kPeers * MiB);
  EXPECT_EQ(answered, 0);
  slow.let_go();
  for (std::thread& sender : senders) sender.join();
  EXPECT_EQ(answered, kPeers);
  EXPECT_EQ(slow.instances().size(), static_cast<std::size_t>(kPeers));
}

}  // namespace
}  // namespace isthmus::test
