// Our own data store as Cloud Storage and the Healthcare API behind the loopback, with a study of
// two series of two instances each, and what replaces them. The way there can be meddled with.
#pragma once

#include <gmock/gmock.h>

#include <functional>
#include <map>
#include <set>

#include "auth/tokens.h"
#include "base/thread.h"
#include "datastore/datastore.h"
#include "http/loopback.h"
#include "imports/google/stored.h"
#include "imports/google_metadata.h"
#include "storage/gcs.h"
#include "support/dicom_factory.h"
#include "support/matchers.h"
#include "support/test_env.h"

namespace isthmus::test {

class ReplacingCloud {
 public:
  static constexpr const char* kStudyUid = "2.25.1001";
  static constexpr const char* kStore = "projects/p1/locations/l1/datasets/ds1/dicomStores/st1";

  // Sees each request; an answer is given in the store's place.
  using Meddle = std::function<std::optional<Result<http::Response>>(const http::Request&)>;

  ReplacingCloud() {
    datastore::DataStoreOptions options;
    options.directory = env.folder() / "store";
    options.worker_program = program("isthmus-import-worker");
    data_store_ = std::move(*datastore::open_data_store(env, options));
    EXPECT_THAT(data_store_->provision("bucket", "store"), IsOk());
    loopback_ = http::make_loopback(data_store_->handler());
    way_ = std::make_unique<Way>(*loopback_, *this);
    data_store_->start();
    post("/v1/projects/p1/locations/l1/datasets?datasetId=ds1", "application/json", "{}");
    post("/v1/projects/p1/locations/l1/datasets/ds1/dicomStores?dicomStoreId=st1",
         "application/json", "{}");
    for (int series = 1; series <= 2; ++series) {
      for (int number = 1; number <= 2; ++number) store(recipe(series, number));
    }
    open();
  }
  ~ReplacingCloud() {
    service_.reset();
    bucket_.reset();
    way_.reset();
    loopback_.reset();
    data_store_->stop();
  }
  ReplacingCloud(const ReplacingCloud&) = delete;
  ReplacingCloud& operator=(const ReplacingCloud&) = delete;

  // As a process that was started again.
  void open() {
    GcsOptions gcs;
    gcs.endpoint = kEndpoint;
    gcs.bucket = "bucket";
    bucket_ = make_gcs_store(env, *way_, *tokens_, nullptr, gcs);
    GoogleReplacingOptions options;
    options.endpoint = kEndpoint;
    options.dicom_store = kStore;
    options.prefix = "gw/";
    options.scratch = env.folder() / "scratch";
    options.longest_pause = Milliseconds(1);  // of the machine's clock, as the data store needs it
    service_ = std::move(*make_google_replacing(env, *way_, *tokens_, *bucket_, options));
  }
  MetadataService& service() { return *service_; }
  ObjectStore& bucket() { return *bucket_; }

  static std::string series_uid(int series) {
    return std::string(kStudyUid) + "." + std::to_string(series);
  }
  static std::string image_set(int series) {
    return std::string("studies/") + kStudyUid + "/series/" + series_uid(series);
  }
  static std::string sop_uid(int series, int number) {
    return series_uid(series) + "." + std::to_string(number);
  }
  static DicomRecipe recipe(int series, int number) {
    DicomRecipe made;
    made.series_instance_uid = series_uid(series);
    made.sop_instance_uid = sop_uid(series, number);
    return made;
  }

  void store(const DicomRecipe& recipe) {
    post(std::string("/v1/") + kStore + "/dicomWeb/studies", "application/dicom",
         make_part10(recipe));
  }
  // As somebody else would: past what is meddled with.
  void replace_outside(const DicomRecipe& recipe) {
    http::Request gone;
    gone.method = "DELETE";
    gone.url = kEndpoint + google::instance_target(kStore, kStudyUid, recipe.series_instance_uid,
                                                   recipe.sop_instance_uid);
    const auto deleted = loopback_->send(std::move(gone));
    ASSERT_TRUE(deleted.ok() && deleted->status == 200);
    store(recipe);
  }
  // The data set as the store has it now; nothing when it has none.
  std::optional<std::string> dataset(int series, int number) {
    http::Request request;
    request.method = "GET";
    request.url = kEndpoint + google::instance_target(kStore, kStudyUid, series_uid(series),
                                                      sop_uid(series, number));
    request.headers.set("Accept", google::kStoredBytes);
    auto response = loopback_->send(std::move(request));
    if (!response.ok() || response->status != 200) return std::nullopt;
    const std::string file = *read_all(*response->body, 16 * MiB);
    constexpr std::size_t kHead = 144;  // preamble, DICM and the length of group 0002
    const std::size_t group = static_cast<unsigned char>(file.at(kHead - 4)) +
                              256U * static_cast<unsigned char>(file.at(kHead - 3));
    return file.substr(kHead + group);
  }

  TestEnv env{1, posix_files(), true};
  Meddle meddle;

 private:
  inline static const std::string kEndpoint = "http://data-store.invalid";

  class Way : public http::Transport {
   public:
    Way(http::Transport& next, ReplacingCloud& cloud) : next_(next), cloud_(cloud) {}
    Result<http::Response> send(http::Request request) override {
      if (cloud_.meddle) {
        if (auto answer = cloud_.meddle(request)) return std::move(*answer);
      }
      return next_.send(std::move(request));
    }

   private:
    http::Transport& next_;
    ReplacingCloud& cloud_;
  };

  void post(const std::string& target, const char* type, const std::string& body) {
    http::Request request;
    request.method = "POST";
    request.url = kEndpoint + target;
    request.headers.set("Content-Type", type);
    request.body = source_of(body);
    const auto made = loopback_->send(std::move(request));
    ASSERT_TRUE(made.ok());
    ASSERT_EQ(made->status, 200) << target;
  }

  std::unique_ptr<datastore::DataStore> data_store_;
  std::unique_ptr<http::Transport> loopback_;
  std::unique_ptr<Way> way_;
  std::unique_ptr<TokenSource> tokens_ = make_static_token("token");
  std::unique_ptr<ObjectStore> bucket_;
  std::unique_ptr<MetadataService> service_;
};

}  // namespace isthmus::test
