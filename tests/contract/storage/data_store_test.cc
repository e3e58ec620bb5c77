// The S3 client against our own data store: through the loopback, as the default run has it, and
// over TCP, as a client from outside sees it.
#include "auth/credentials.h"
#include "contract/storage/object_store_contract.h"
#include "datastore/datastore.h"
#include "http/client.h"
#include "http/loopback.h"
#include "http/server.h"
#include "storage/s3.h"

namespace isthmus::test {
namespace {

const Credentials kKeys{"TESTKEY", "test-secret", "", std::nullopt};

class EmbeddedStore : public StoreUnderTest {
 public:
  explicit EmbeddedStore(bool over_tcp) {
    datastore::DataStoreOptions options;
    options.directory = env_.folder() / "store";
    options.access_keys = {{kKeys.access_key_id, kKeys.secret_access_key}};
    data_store_ = std::move(*datastore::open_data_store(env_, options));
    EXPECT_THAT(data_store_->provision("bucket", "store"), IsOk());
    s3_.bucket = "bucket";
    s3_.endpoint = "http://data-store.invalid";
    s3_.multipart_threshold_bytes = 5 * MiB;
    s3_.part_bytes = 5 * MiB;
    s3_.list_page_keys = 3;  // so that a few keys make pages
    if (over_tcp) {
      server_ = std::move(*http::listen(env_, data_store_->handler(), {}));
      s3_.endpoint = "http://127.0.0.1:" + std::to_string(server_->port());
      transport_ = http::make_client(env_, {});
    } else {
      transport_ = http::make_loopback(data_store_->handler());
    }
    store_ = make_s3_store(env_, *transport_, *credentials_, s3_);
  }
  ~EmbeddedStore() override {
    store_.reset();
    transport_.reset();
    if (server_) server_->stop();
  }
  ObjectStore& store() override { return *store_; }
  std::size_t large_bytes() const override { return 11 * MiB + 1; }

  std::unique_ptr<ObjectStore> store_with(CredentialsSource& credentials, std::string bucket) {
    S3Options options = s3_;
    options.bucket = std::move(bucket);
    return make_s3_store(env_, *transport_, credentials, options);
  }
  CredentialsSource& credentials() { return *credentials_; }

 private:
  TestEnv env_{1, posix_files(), true};
  std::unique_ptr<datastore::DataStore> data_store_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<http::Transport> transport_;
  std::unique_ptr<CredentialsSource> credentials_ = make_static_credentials(kKeys);
  S3Options s3_;
  std::unique_ptr<ObjectStore> store_;
};

StoreFactory embedded(std::string name, bool over_tcp) {
  return {std::move(name),
          [over_tcp](std::string&) { return std::make_unique<EmbeddedStore>(over_tcp); }};
}

INSTANTIATE_TEST_SUITE_P(DataStore, ObjectStoreContract,
                         testing::Values(embedded("loopback", false), embedded("tcp", true)));

TEST(DataStoreRefuses, AWrongSecretAndAnUnknownKey) {
  EmbeddedStore subject(false);
  const auto wrong = make_static_credentials({kKeys.access_key_id, "wrong", "", std::nullopt});
  const auto unknown = make_static_credentials({"OTHER", "x", "", std::nullopt});
  EXPECT_THAT(subject.store_with(*wrong, "bucket")->check(), FailsWith("store.denied"));
  EXPECT_THAT(subject.store_with(*unknown, "bucket")->check(), FailsWith("store.denied"));
}

TEST(DataStoreRefuses, ABucketThatIsNotThere) {
  EmbeddedStore subject(false);
  const auto store = subject.store_with(subject.credentials(), "no-such-bucket");
  EXPECT_THAT(store->check(), FailsWith("store.no_bucket"));
}

}  // namespace
}  // namespace isthmus::test
