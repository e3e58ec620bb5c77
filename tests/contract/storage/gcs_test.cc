// The Cloud Storage client against our own data store's JSON API (which @google-cloud/storage looks
// at too, tests/e2e/google_test.py): through the loopback, and over TCP with tokens of its metadata
// server; and with connections that end in the middle.
#include "storage/gcs.h"

#include "auth/google.h"
#include "contract/storage/object_store_contract.h"
#include "datastore/datastore.h"
#include "http/client.h"
#include "http/loopback.h"
#include "http/server.h"
#include "support/memory_upload_sessions.h"

namespace isthmus::test {
namespace {

// A body that ends with the connection after some bytes.
class CutBody : public ByteSource {
 public:
  CutBody(std::shared_ptr<ByteSource> whole, std::uint64_t after)
      : whole_(std::move(whole)), after_(after) {}
  std::uint64_t size() const override { return whole_->size(); }
  Result<std::size_t> read(MutableByteSpan into) override {
    if (given_ >= after_) return transient_error("http.closed", "The connection was cut.");
    const auto most =
        static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), after_ - given_));
    TRY_ASSIGN(const std::size_t got, whole_->read(into.first(most)));
    given_ += got;
    return got;
  }
  Result<void> rewind() override {
    given_ = 0;
    return whole_->rewind();
  }

 private:
  const std::shared_ptr<ByteSource> whole_;
  const std::uint64_t after_;
  std::uint64_t given_ = 0;
};

// Between client and store: cuts large requests, and counts their bytes.
class CuttingTransport : public http::Transport {
 public:
  explicit CuttingTransport(http::Transport& next) : next_(next) {}
  Result<http::Response> send(http::Request request) override {
    if (dead) return transient_error("http.connect", "The process is dead.");
    const bool is_piece = request.body && request.body->size() > cut_after;
    if (is_piece && cuts > 0) {
      --cuts;
      sent_bytes += cut_after;
      dead = dies_at_cut;
      request.body = std::make_shared<CutBody>(request.body, cut_after);
      return next_.send(std::move(request));
    }
    if (request.body) sent_bytes += request.body->size();
    auto response = next_.send(std::move(request));
    if (is_piece && lose_answers > 0) {
      --lose_answers;
      return transient_error("http.closed", "The answer was lost.");
    }
    return response;
  }
  std::uint64_t cut_after = 1 * MiB + 12'345;
  std::uint64_t sent_bytes = 0;
  int cuts = 0;
  int lose_answers = 0;
  bool dies_at_cut = false;  // nothing goes out any more from there on: until `dead` is ended
  bool dead = false;

 private:
  http::Transport& next_;
};

class CloudStorage : public StoreUnderTest {
 public:
  explicit CloudStorage(bool over_tcp) {
    datastore::DataStoreOptions options;
    options.directory = env_.folder() / "store";
    if (over_tcp) options.access_keys = {{"KEY", "secret"}};
    options.google_metadata_server = over_tcp;
    data_store_ = std::move(*datastore::open_data_store(env_, options));
    EXPECT_THAT(data_store_->provision("bucket", "store"), IsOk());
    gcs_.bucket = "bucket";
    gcs_.endpoint = "http://data-store.invalid";
    gcs_.resumable_threshold_bytes = 1 * MiB;
    gcs_.piece_bytes = 4 * MiB;
    gcs_.list_page_objects = 3;  // so that a few objects make pages
    if (over_tcp) {
      server_ = std::move(*http::listen(env_, data_store_->handler(), {}));
      gcs_.endpoint = "http://127.0.0.1:" + std::to_string(server_->port());
      transport_ = http::make_client(env_, {});
      GoogleCredentialOptions who;
      who.metadata_endpoint = gcs_.endpoint;
      tokens_ = make_google_credentials(env_, *transport_, who);
    } else {
      transport_ = http::make_loopback(data_store_->handler());
      tokens_ = make_static_token("token");
    }
    network_ = std::make_unique<CuttingTransport>(*transport_);
    open();
  }
  ~CloudStorage() override {
    store_.reset();
    transport_.reset();
    if (server_) server_->stop();
  }
  // As a process that was started again.
  void open() { store_ = store_of("bucket", *tokens_); }
  std::unique_ptr<ObjectStore> store_of(std::string bucket, TokenSource& tokens) {
    GcsOptions options = gcs_;
    options.bucket = std::move(bucket);
    return make_gcs_store(env_, *network_, tokens, &sessions_, options);
  }
  ObjectStore& store() override { return *store_; }
  std::size_t large_bytes() const override { return 11 * MiB + 1; }
  CuttingTransport& network() { return *network_; }
  MemoryUploadSessions& sessions() { return sessions_; }
  TokenSource& tokens() { return *tokens_; }

 private:
  TestEnv env_{1, posix_files(), true};
  std::unique_ptr<datastore::DataStore> data_store_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<http::Transport> transport_;
  std::unique_ptr<TokenSource> tokens_;
  std::unique_ptr<CuttingTransport> network_;
  MemoryUploadSessions sessions_;
  GcsOptions gcs_;
  std::unique_ptr<ObjectStore> store_;
};

StoreFactory embedded(std::string name, bool over_tcp) {
  return {std::move(name),
          [over_tcp](std::string&) { return std::make_unique<CloudStorage>(over_tcp); }};
}

INSTANTIATE_TEST_SUITE_P(CloudStorage, ObjectStoreContract,
                         testing::Values(embedded("loopback", false), embedded("tcp", true)));

class ResumedUploads : public testing::TestWithParam<bool> {
 protected:
  CloudStorage cloud{GetParam()};
  const std::string bytes = [] {
    std::string made(24 * MiB + 77, '\0');
    unsigned seed = 7;
    for (char& c : made) {
      seed = seed * 1664525U + 1013904223U;
      c = static_cast<char>(seed >> 24);
    }
    return made;
  }();
  Result<StoredObject> put() {
    return cloud.store().put(ObjectKey{"large"}, source_of(bytes), sha256(bytes));
  }
  void expect_stored() {
    ASSERT_OK_AND_ASSIGN(const auto source, cloud.store().get(ObjectKey{"large"}));
    ASSERT_OK_AND_ASSIGN(const std::string read, read_all(*source, 1 * GiB));
    EXPECT_TRUE(read == bytes);
    EXPECT_TRUE(cloud.sessions().kept.empty());
  }
};

INSTANTIATE_TEST_SUITE_P(DataStore, ResumedUploads, testing::Bool(),
                         [](const auto& one) { return one.param ? "tcp" : "loopback"; });

TEST_P(ResumedUploads, SurviveTenCutsWithoutStartingOver) {
  cloud.network().cuts = 10;

  ASSERT_THAT(put(), IsOk());

  expect_stored();
  EXPECT_EQ(cloud.sessions().begun, 1);
  // What was cut off goes up once more, and no more than that: a network may keep a buffer full.
  EXPECT_LT(cloud.network().sent_bytes, bytes.size() + 11 * cloud.network().cut_after);
}

TEST_P(ResumedUploads, GoOnAfterTheProcessWasKilled) {
  cloud.network().cut_after = 3 * MiB;
  cloud.network().cuts = 1;
  cloud.network().dies_at_cut = true;
  EXPECT_THAT(put(), FailsWith("http.connect", Fate::transient));
  cloud.network().dead = cloud.network().dies_at_cut = false;
  const std::uint64_t before = cloud.network().sent_bytes;
  cloud.open();

  ASSERT_THAT(put(), IsOk());

  expect_stored();
  EXPECT_EQ(cloud.sessions().begun, 1);
  // A connection that breaks may lose what lies in its buffers.
  const std::uint64_t again = cloud.network().sent_bytes - before;
  EXPECT_LT(again, GetParam() ? bytes.size() + 1 : bytes.size() - 1 * MiB);
}

TEST_P(ResumedUploads, FindWhatTheLostAnswerWasAbout) {
  cloud.network().lose_answers = 100;

  ASSERT_THAT(put(), IsOk());

  expect_stored();
  EXPECT_EQ(cloud.sessions().begun, 1);
}

TEST_P(ResumedUploads, StartOverForOtherBytes) {
  cloud.sessions().kept[ObjectKey{"large"}] = {"/upload/storage/v1/b/bucket/o?upload_id=gone",
                                               sha256("other bytes"), 5};

  ASSERT_THAT(put(), IsOk());

  expect_stored();
}

TEST_P(ResumedUploads, StartOverWhenTheSessionIsGone) {
  cloud.sessions().kept[ObjectKey{"large"}] = {
      "/upload/storage/v1/b/bucket/o?uploadType=resumable&name=large&upload_id=gone", sha256(bytes),
      bytes.size()};

  ASSERT_THAT(put(), IsOk());

  expect_stored();
}

TEST(CloudStorageRefuses, AnUnknownToken) {
  CloudStorage cloud(true);
  const auto unknown = make_static_token("nobody");
  EXPECT_THAT(cloud.store_of("bucket", *unknown)->check(), FailsWith("store.denied"));
}

TEST(CloudStorageRefuses, ABucketThatIsNotThere) {
  CloudStorage cloud(true);
  const auto store = cloud.store_of("no-such-bucket", cloud.tokens());
  EXPECT_THAT(store->check(), FailsWith("store.no_bucket", Fate::transient));
  EXPECT_THAT(store->put(ObjectKey{"k"}, source_of(std::string("x")), sha256("x")),
              FailsWith("store.no_bucket", Fate::transient));
}

}  // namespace
}  // namespace isthmus::test
