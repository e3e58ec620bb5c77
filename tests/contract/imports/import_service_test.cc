// The fake, and the HealthImaging client against our own data store with its real import worker,
// through the loopback and over TCP.
#include "auth/credentials.h"
#include "contract/imports/import_service_contract.h"
#include "datastore/datastore.h"
#include "http/client.h"
#include "http/loopback.h"
#include "http/server.h"
#include "imports/healthimaging.h"
#include "storage/s3.h"
#include "support/memory_import_service.h"

namespace isthmus::test {
namespace {

class Memory : public ServiceUnderTest {
 public:
  ImportService& service() override { return service_; }
  void place_good(const ObjectKey& key, const DicomRecipe& recipe) override {
    bucket_.plant(key, make_part10(recipe));
  }
  void place_bad(const ObjectKey& key) override {
    bucket_.plant(key, "This is no DICOM.");
    service_.say(key, {MemoryImportService::Said::rejected});
  }

 private:
  MemoryObjectStore bucket_;
  MemoryImportService service_{{}, &bucket_};
};

const Credentials kKeys{"TESTKEY", "test-secret", "", std::nullopt};

class Embedded : public ServiceUnderTest {
 public:
  explicit Embedded(bool over_tcp) {
    datastore::DataStoreOptions options;
    options.directory = env_.folder() / "store";
    options.worker_program = program("isthmus-import-worker");
    options.access_keys = {{kKeys.access_key_id, kKeys.secret_access_key}};
    data_store_ = std::move(*datastore::open_data_store(env_, options));
    std::string endpoint = "http://data-store.invalid";
    if (over_tcp) {
      server_ = std::move(*http::listen(env_, data_store_->handler(), {}));
      endpoint = "http://127.0.0.1:" + std::to_string(server_->port());
      transport_ = http::make_client(env_, {});
    } else {
      transport_ = http::make_loopback(data_store_->handler());
    }
    S3Options s3;
    s3.endpoint = endpoint;
    s3.bucket = "bucket";
    bucket_ = make_s3_store(env_, *transport_, *credentials_, s3);
    HealthImagingOptions imaging;
    imaging.endpoint = endpoint;
    imaging.bucket = "bucket";
    imaging.data_access_role_arn = "arn:aws:iam::123456789012:role/import";
    imaging.datastore_id = *data_store_->provision("bucket", "store");
    service_ = make_healthimaging_import(env_, *transport_, *credentials_, *bucket_, imaging);
    data_store_->start();
  }
  ~Embedded() override {
    service_.reset();
    bucket_.reset();
    transport_.reset();
    if (server_) server_->stop();
    data_store_->stop();
  }
  ImportService& service() override { return *service_; }
  void place_good(const ObjectKey& key, const DicomRecipe& recipe) override {
    place(key, make_part10(recipe));
  }
  void place_bad(const ObjectKey& key) override { place(key, "This is no DICOM."); }

 private:
  void place(const ObjectKey& key, const std::string& bytes) {
    ASSERT_THAT(bucket_->put(key, source_of(bytes), sha256(bytes)), IsOk());
  }

  TestEnv env_{1, posix_files(), true};
  std::unique_ptr<datastore::DataStore> data_store_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<http::Transport> transport_;
  std::unique_ptr<CredentialsSource> credentials_ = make_static_credentials(kKeys);
  std::unique_ptr<ObjectStore> bucket_;
  std::unique_ptr<ImportService> service_;
};

INSTANTIATE_TEST_SUITE_P(
    Services, ImportServiceContract,
    testing::Values(ServiceFactory{"memory", [] { return std::make_unique<Memory>(); }},
                    ServiceFactory{"loopback", [] { return std::make_unique<Embedded>(false); }},
                    ServiceFactory{"tcp", [] { return std::make_unique<Embedded>(true); }}),
    [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace isthmus::test
