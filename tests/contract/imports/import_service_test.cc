// The fake, and the HealthImaging and the Healthcare clients against our own data store with its
// real import worker, through the loopback and over TCP.
#include <map>

#include "auth/credentials.h"
#include "contract/imports/import_service_contract.h"
#include "datastore/datastore.h"
#include "http/client.h"
#include "http/loopback.h"
#include "http/server.h"
#include "imports/google.h"
#include "imports/healthimaging.h"
#include "storage/gcs.h"
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

// What was received, as its place in the store is known of it.
Instance instance_of(const DicomRecipe& recipe, const std::string& bytes) {
  Instance instance;
  instance.study_instance_uid = *Uid::parse(recipe.study_instance_uid);
  instance.series_instance_uid = *Uid::parse(recipe.series_instance_uid);
  instance.sop_instance_uid = *Uid::parse(recipe.sop_instance_uid);
  // Behind preamble and group 0002, whose length stands in its first element.
  constexpr std::size_t kHead = 144;
  const std::size_t group = static_cast<unsigned char>(bytes.at(kHead - 4)) +
                            256U * static_cast<unsigned char>(bytes.at(kHead - 3));
  instance.dataset_digest = sha256(std::string_view(bytes).substr(kHead + group));
  return instance;
}

constexpr const char* kDataset = "/v1/projects/p1/locations/l1/datasets";
constexpr const char* kDicomStore = "projects/p1/locations/l1/datasets/ds1/dicomStores/st1";

class Google : public ServiceUnderTest {
 public:
  explicit Google(bool over_tcp, bool by_stow = false) {
    datastore::DataStoreOptions options;
    options.directory = env_.folder() / "store";
    options.worker_program = program("isthmus-import-worker");
    data_store_ = std::move(*datastore::open_data_store(env_, options));
    endpoint_ = "http://data-store.invalid";
    if (over_tcp) {
      server_ = std::move(*http::listen(env_, data_store_->handler(), {}));
      endpoint_ = "http://127.0.0.1:" + std::to_string(server_->port());
      transport_ = http::make_client(env_, {});
    } else {
      transport_ = http::make_loopback(data_store_->handler());
    }
    EXPECT_THAT(data_store_->provision("bucket", "store"), IsOk());
    make(std::string(kDataset) + "?datasetId=ds1");
    make(std::string(kDataset) + "/ds1/dicomStores?dicomStoreId=st1");
    GcsOptions gcs;
    gcs.endpoint = endpoint_;
    gcs.bucket = "bucket";
    bucket_ = make_gcs_store(env_, *transport_, *tokens_, nullptr, gcs);
    const InstanceLookup instances =
        [this](const ObjectKey& key) -> Result<std::optional<Instance>> {
      const auto found = instances_.find(key);
      return found == instances_.end() ? std::nullopt : std::optional(found->second);
    };
    GoogleImportOptions healthcare;
    healthcare.endpoint = healthcare.logging_endpoint = endpoint_;
    healthcare.dicom_store = kDicomStore;
    healthcare.bucket = "bucket";
    healthcare.verified_instances = 10;
    GoogleStowOptions stow;
    stow.endpoint = endpoint_;
    stow.dicom_store = kDicomStore;
    service_ =
        by_stow ? make_google_stow(env_, *transport_, *tokens_, *bucket_, instances, stow)
                : make_google_import(env_, *transport_, *tokens_, *bucket_, instances, healthcare);
    data_store_->start();
  }
  ~Google() override {
    service_.reset();
    bucket_.reset();
    transport_.reset();
    if (server_) server_->stop();
    data_store_->stop();
  }
  ImportService& service() override { return *service_; }
  void place_good(const ObjectKey& key, const DicomRecipe& recipe) override {
    const std::string bytes = make_part10(recipe);
    instances_[key] = instance_of(recipe, bytes);
    place(key, bytes);
  }
  void place_bad(const ObjectKey& key) override {
    DicomRecipe recipe;
    recipe.sop_instance_uid = "2.25.404";
    instances_[key] = instance_of(recipe, make_part10(recipe));
    place(key, "This is no DICOM.");
  }

 private:
  void make(const std::string& target) {
    http::Request request;
    request.method = "POST";
    request.url = endpoint_ + target;
    request.headers.set("Content-Type", "application/json");
    request.body = source_of(std::string("{}"));
    const auto made = transport_->send(std::move(request));
    ASSERT_TRUE(made.ok() && made->status == 200);
  }
  void place(const ObjectKey& key, const std::string& bytes) {
    ASSERT_THAT(bucket_->put(key, source_of(bytes), sha256(bytes)), IsOk());
  }

  TestEnv env_{1, posix_files(), true};
  std::string endpoint_;
  std::map<ObjectKey, Instance> instances_;
  std::unique_ptr<datastore::DataStore> data_store_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<http::Transport> transport_;
  std::unique_ptr<TokenSource> tokens_ = make_static_token("token");
  std::unique_ptr<ObjectStore> bucket_;
  std::unique_ptr<ImportService> service_;
};

INSTANTIATE_TEST_SUITE_P(
    Services, ImportServiceContract,
    testing::Values(ServiceFactory{"memory", [] { return std::make_unique<Memory>(); }},
                    ServiceFactory{"loopback", [] { return std::make_unique<Embedded>(false); }},
                    ServiceFactory{"tcp", [] { return std::make_unique<Embedded>(true); }},
                    ServiceFactory{"google", [] { return std::make_unique<Google>(false); }},
                    ServiceFactory{"google_tcp", [] { return std::make_unique<Google>(true); }},
                    ServiceFactory{"google_stow",
                                   [] { return std::make_unique<Google>(false, true); }}),
    [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace isthmus::test
