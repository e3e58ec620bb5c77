// What the Cloud Storage client sends, byte by byte, and what it makes of answers.
#include "storage/gcs.h"

#include <gmock/gmock.h>

#include "storage/gcs/answers.h"
#include "support/matchers.h"
#include "support/memory_upload_sessions.h"
#include "support/scripted_transport.h"
#include "support/test_env.h"
#include "wire/gcs.h"

namespace isthmus::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const std::string kHello = "hello";
constexpr const char* kHelloSum = "mnG7TA==";  // contracts/google-storage section 1

std::string resource(const std::string& bytes, int generation = 7) {
  return R"({"kind":"storage#object","name":"k","size":")" + std::to_string(bytes.size()) +
         R"(","generation":")" + std::to_string(generation) + R"(","etag":"tag-)" +
         std::to_string(generation) + R"(","crc32c":")" +
         wire::gcs::crc32c_text(crc32c(as_bytes(bytes))) + R"("})";
}
std::string refusal(const std::string& reason) {
  return R"({"error":{"code":1,"message":"words","errors":[{"reason":")" + reason + R"("}]}})";
}

class Gcs : public testing::Test {
 protected:
  ObjectStore& store() {
    if (!store_) store_ = make_gcs_store(env, network, *tokens, &sessions, options);
    return *store_;
  }
  Result<StoredObject> put(const std::string& bytes = kHello) {
    return store().put(ObjectKey{"k"}, source_of(bytes), sha256(bytes));
  }

  TestEnv env;
  ScriptedTransport network;
  MemoryUploadSessions sessions;
  GcsOptions options = [] {
    GcsOptions made;
    made.bucket = "bk";
    made.resumable_threshold_bytes = 100;
    return made;
  }();
  std::unique_ptr<TokenSource> tokens = make_static_token("token");
  std::unique_ptr<ObjectStore> store_;
};

TEST_F(Gcs, SendsMetadataAndBytesInOneRequestWhereThereIsNoObject) {
  network.answers(200, resource(kHello));

  ASSERT_OK_AND_ASSIGN(const StoredObject stored, put());

  EXPECT_EQ(stored.etag, "tag-7");
  const auto& seen = network.last();
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.url,
            "https://storage.googleapis.com/upload/storage/v1/b/bk/o?uploadType=multipart&name=k"
            "&ifGenerationMatch=0");
  EXPECT_EQ(seen.headers.get("Authorization"), "Bearer token");
  const std::string type(seen.headers.get("Content-Type"));
  ASSERT_THAT(type, StartsWith("multipart/related; boundary="));
  const std::string line = "--" + type.substr(type.find('=') + 1);
  EXPECT_EQ(seen.body, line +
                           "\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"
                           R"({"contentType":"application/dicom","crc32c":")" +
                           kHelloSum + R"(","metadata":{"isthmus-sha256":")" +
                           sha256(kHello).hex() + "\"}}\r\n" + line +
                           "\r\nContent-Type: application/dicom\r\n\r\nhello\r\n" + line +
                           "--\r\n");
}

TEST_F(Gcs, SendsNothingThatIsNotWhatWasAnnounced) {
  EXPECT_THAT(store().put(ObjectKey{"k"}, source_of(kHello), sha256("other")),
              FailsWith("store.bad_digest", Fate::permanent));
  EXPECT_TRUE(network.seen().empty());
}

TEST_F(Gcs, TakesTheObjectOfATryWhoseAnswerWasLost) {
  network.answers(412, refusal("conditionNotMet")).answers(200, resource(kHello, 3));

  ASSERT_OK_AND_ASSIGN(const StoredObject stored, put());

  EXPECT_EQ(stored.etag, "tag-3");
  EXPECT_EQ(network.last().url, "https://storage.googleapis.com/storage/v1/b/bk/o/k");
}

TEST_F(Gcs, ReplacesOtherBytesInTheGenerationItLookedAt) {
  network.answers(412, refusal("conditionNotMet"))
      .answers(200, resource("other", 3))
      .answers(200, resource(kHello, 4));

  ASSERT_THAT(put(), IsOk());

  EXPECT_THAT(network.last().url, HasSubstr("&ifGenerationMatch=3"));
}

TEST_F(Gcs, DoesNotTrustAnotherChecksum) {
  network.answers(200, resource("jello"));

  EXPECT_THAT(put(), FailsWith("store.protocol"));
}

TEST_F(Gcs, TellsRefusalsApart) {
  const auto code_of = [&](int status, const std::string& reason) {
    options.retry.attempts = 1;
    store_.reset();
    network.answers(status, refusal(reason));
    return put().error();
  };
  EXPECT_EQ(code_of(401, "authError").code, "store.denied");
  EXPECT_EQ(code_of(403, "forbidden").code, "store.denied");
  EXPECT_EQ(code_of(403, "rateLimitExceeded").code, "store.slow_down");
  EXPECT_EQ(code_of(404, "notFound").code, "store.no_bucket");
  EXPECT_EQ(code_of(408, "").code, "store.unavailable");
  EXPECT_EQ(code_of(429, "rateLimitExceeded").code, "store.slow_down");
  EXPECT_EQ(code_of(503, "backendError").code, "store.slow_down");
  EXPECT_EQ(code_of(500, "backendError").fate, Fate::transient);
  EXPECT_EQ(code_of(400, "invalid").code, "store.protocol");
  EXPECT_THAT(code_of(403, "forbidden").message, HasSubstr("403 forbidden"));
}

TEST_F(Gcs, NamesWhoPaysForRequests) {
  options.user_project = "hospital";
  network.answers(200, resource(kHello)).answers(200, resource(kHello)).answers(204);

  ASSERT_THAT(put(), IsOk());
  ASSERT_THAT(store().head(ObjectKey{"k"}), IsOk());
  ASSERT_THAT(store().remove(ObjectKey{"k"}), IsOk());

  for (const auto& seen : network.seen()) EXPECT_THAT(seen.url, HasSubstr("userProject=hospital"));
}

TEST_F(Gcs, HoldsWhatItReadsAgainstItsChecksum) {
  network.answers(200, "jello", {{"X-Goog-Hash", "crc32c=mnG7TA==,md5=XUFAKrxLKna5cZ2REBfFkg=="}})
      .answers(200, "hello", {{"X-Goog-Hash", "md5=XUFAKrxLKna5cZ2REBfFkg==, crc32c=mnG7TA=="}});

  ASSERT_OK_AND_ASSIGN(const auto damaged, store().get(ObjectKey{"k"}));
  EXPECT_THAT(read_all(*damaged, 100), FailsWith("store.unavailable", Fate::transient));
  ASSERT_OK_AND_ASSIGN(const auto whole, store().get(ObjectKey{"k"}));
  EXPECT_EQ(*read_all(*whole, 100), "hello");
}

// --- sessions

class GcsSession : public Gcs {
 protected:
  GcsSession() { options.piece_bytes = wire::gcs::kPieceGranularity; }
  ScriptedTransport& begins() {
    return network.answers(200, "",
                           {{"Location", "https://storage.googleapis.com/upload/session?id=1"}});
  }
  static http::Headers up_to(std::uint64_t bytes) {
    return {{"Range", "bytes=0-" + std::to_string(bytes - 1)}};
  }
  const std::string large = std::string(600'000, 'x');
};

TEST_F(GcsSession, GoesUpPieceByPiece) {
  begins().answers(308, "", up_to(262'144)).answers(308, "", up_to(524'288));
  network.answers(200, resource(large));

  ASSERT_THAT(put(large), IsOk());

  const auto& seen = network.seen();
  ASSERT_EQ(seen.size(), 4U);
  EXPECT_THAT(seen[0].url, HasSubstr("uploadType=resumable&name=k&ifGenerationMatch=0"));
  EXPECT_EQ(seen[0].headers.get("X-Upload-Content-Length"), "600000");
  EXPECT_THAT(seen[0].body, HasSubstr(R"("crc32c":")"));
  EXPECT_EQ(seen[1].url, "https://storage.googleapis.com/upload/session?id=1");
  EXPECT_EQ(seen[1].headers.get("Content-Range"), "bytes 0-262143/600000");
  EXPECT_EQ(seen[1].body.size(), 262'144U);
  EXPECT_EQ(seen[2].headers.get("Content-Range"), "bytes 262144-524287/600000");
  EXPECT_EQ(seen[3].headers.get("Content-Range"), "bytes 524288-599999/600000");
  EXPECT_TRUE(sessions.kept.empty());
}

TEST_F(GcsSession, AsksHowFarItCameAfterACut) {
  begins()
      .fails(transient_error("http.closed", "It was cut."))
      .answers(308, "", up_to(100'000))
      .answers(308, "", up_to(262'144))
      .answers(308, "", up_to(524'288));
  network.answers(200, resource(large));

  ASSERT_THAT(put(large), IsOk());

  const auto& seen = network.seen();
  EXPECT_EQ(seen[2].headers.get("Content-Range"), "bytes */600000");
  EXPECT_EQ(seen[2].body, "");
  EXPECT_EQ(seen[3].headers.get("Content-Range"), "bytes 100000-262143/600000");
}

TEST_F(GcsSession, GoesOnWhereAKilledProcessStopped) {
  sessions.kept[ObjectKey{"k"}] = {"/upload/session?id=9", sha256(large), large.size()};
  network.answers(308, "", up_to(524'288)).answers(200, resource(large));

  ASSERT_THAT(put(large), IsOk());

  EXPECT_EQ(network.seen()[0].url, "https://storage.googleapis.com/upload/session?id=9");
  EXPECT_EQ(network.seen()[0].headers.get("Content-Range"), "bytes */600000");
  EXPECT_EQ(network.last().headers.get("Content-Range"), "bytes 524288-599999/600000");
}

TEST_F(GcsSession, StartsAgainWhenASessionIsOver) {
  sessions.kept[ObjectKey{"k"}] = {"/upload/session?id=9", sha256(large), large.size()};
  options.piece_bytes = 4 * wire::gcs::kPieceGranularity;
  network.answers(410);
  begins().answers(200, resource(large));

  ASSERT_THAT(put(large), IsOk());
  EXPECT_EQ(sessions.begun, 1);
}

TEST_F(GcsSession, KeepsTheSessionWhenItGivesUp) {
  options.cuts_without_progress = 1;
  options.retry.attempts = 1;
  begins().fails(transient_error("http.closed", "It was cut.")).answers(308);
  network.fails(transient_error("http.closed", "It was cut."));

  EXPECT_THAT(put(large), FailsWith("http.closed", Fate::transient));
  EXPECT_EQ(sessions.kept.at(ObjectKey{"k"}).token, "/upload/session?id=1");
}

TEST_F(GcsSession, SendsToTheEndpointWhateverHostTheSessionNames) {
  options.endpoint = "https://storage.hospital.example/";
  options.piece_bytes = 4 * wire::gcs::kPieceGranularity;
  begins().answers(200, resource(large));

  ASSERT_THAT(put(large), IsOk());

  EXPECT_EQ(network.last().url, "https://storage.hospital.example/upload/session?id=1");
}

TEST_F(GcsSession, IsForgottenWhenAnotherObjectIsThere) {
  options.piece_bytes = 4 * wire::gcs::kPieceGranularity;
  begins().answers(412, refusal("conditionNotMet")).answers(200, resource("other", 3));
  begins().answers(200, resource(large, 4));

  ASSERT_THAT(put(large), IsOk());

  EXPECT_THAT(network.seen()[3].url, HasSubstr("ifGenerationMatch=3"));
  EXPECT_TRUE(sessions.kept.empty());
}

TEST_F(GcsSession, GoesOnWithANewTokenWhenTheOldOneIsOverInTheMiddle) {
  class Two : public TokenSource {
   public:
    Result<std::string> token() override { return std::string(renewed ? "second" : "first"); }
    void refused(const std::string& token) override { renewed = token == "first"; }
    bool renewed = false;
  };
  tokens = std::make_unique<Two>();
  begins().answers(308, "", up_to(262'144)).answers(401, refusal("authError"));
  network.answers(308, "", up_to(524'288)).answers(200, resource(large));

  ASSERT_THAT(put(large), IsOk());

  const auto& seen = network.seen();
  ASSERT_EQ(seen.size(), 5U);
  EXPECT_EQ(seen[2].headers.get("Authorization"), "Bearer first");
  EXPECT_EQ(seen[3].headers.get("Authorization"), "Bearer second");
  EXPECT_EQ(seen[3].headers.get("Content-Range"), "bytes 262144-524287/600000");
  EXPECT_EQ(seen[3].body.size(), 262'144U);
  EXPECT_EQ(sessions.begun, 1);
}

TEST_F(GcsSession, IsEndedWithItsObject) {
  sessions.kept[ObjectKey{"k"}] = {"/upload/session?id=9", sha256(large), large.size()};
  network.answers(499).answers(204);

  ASSERT_THAT(store().remove(ObjectKey{"k"}), IsOk());

  EXPECT_EQ(network.seen()[0].method, "DELETE");
  EXPECT_EQ(network.seen()[0].url, "https://storage.googleapis.com/upload/session?id=9");
  EXPECT_TRUE(sessions.kept.empty());
}

TEST_F(GcsSession, GoesUpThoughItCannotBeKept) {
  class Broken : public UploadSessions {
   public:
    Result<std::optional<UploadSession>> find(const ObjectKey&) override { return full(); }
    Result<void> keep(const ObjectKey&, const UploadSession&) override { return full(); }
    Result<void> forget(const ObjectKey&) override { return full(); }

   private:
    static Error full() { return transient_error("disk.full", "No space is left."); }
  } broken;
  options.piece_bytes = 4 * wire::gcs::kPieceGranularity;
  store_ = make_gcs_store(env, network, *tokens, &broken, options);
  begins().answers(200, resource(large));

  EXPECT_THAT(put(large), IsOk());
}

// --- windows

TEST(GcsCursor, ReadsPartsThatFollowOneAnotherWithoutGoingBack) {
  class Counting : public ByteSource {
   public:
    std::uint64_t size() const override { return 10; }
    Result<std::size_t> read(MutableByteSpan into) override {
      if (at == 10) return std::size_t{0};
      into[0] = static_cast<std::byte>('0' + at++);
      return std::size_t{1};
    }
    Result<void> rewind() override {
      at = 0;
      ++rewinds;
      return {};
    }
    int at = 5, rewinds = 0;
  };
  const auto source = std::make_shared<Counting>();
  const auto cursor = std::make_shared<gcs::Cursor>(source);

  EXPECT_EQ(*read_all(*gcs::window_of(cursor, 2, 3), 100), "234");
  EXPECT_EQ(*read_all(*gcs::window_of(cursor, 5, 4), 100), "5678");
  EXPECT_EQ(source->rewinds, 1);
  const auto again = gcs::window_of(cursor, 1, 2);
  EXPECT_EQ(*read_all(*again, 100), "12");
  ASSERT_THAT(again->rewind(), IsOk());
  EXPECT_EQ(*read_all(*again, 100), "12");
  EXPECT_EQ(source->rewinds, 3);
}

}  // namespace
}  // namespace isthmus::test
