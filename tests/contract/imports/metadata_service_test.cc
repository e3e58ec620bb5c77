// The promises of MetadataService, held against the fake, and against the HealthImaging client and
// what replaces instances at Google, with our own data store behind the loopback.
#include <gmock/gmock.h>

#include <functional>
#include <map>

#include "auth/credentials.h"
#include "base/thread.h"
#include "contract/imports/replacing_cloud.h"
#include "datastore/datastore.h"
#include "http/loopback.h"
#include "imports/healthimaging.h"
#include "storage/s3.h"
#include "support/dicom_factory.h"
#include "support/matchers.h"
#include "support/memory_metadata_service.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

constexpr const char* kStudy = "2.25.1001";
constexpr const char* kFirst = "2.25.1001.1";
constexpr const char* kSecond = "2.25.1001.2";
constexpr const char* kFar = "00000000000000000000000000000000";

std::string instance_of(const std::string& series, int number) {
  return series + "." + std::to_string(number);
}

// A study of two series with two instances each, imported: two primary image sets.
class Imported {
 public:
  virtual ~Imported() = default;
  virtual MetadataService& service() = 0;
  // By series.
  std::map<std::string, std::string> image_sets;
};

class Memory : public Imported {
 public:
  Memory() {
    for (const char* series : {kFirst, kSecond}) {
      MemoryMetadataService::Document document{
          {{MetadataLevel::patient, "", "", "PatientName"}, "\"Synthetic^Nobody\""},
          {{MetadataLevel::patient, "", "", "PatientID"}, "\"SYNTHETIC-1 \""},
          {{MetadataLevel::study, "", "", "StudyDescription"}, "\"Synthetic study \""},
          {{MetadataLevel::series, series, "", "Modality"}, "\"CT\""}};
      for (int i = 1; i <= 2; ++i) {
        const std::string sop = instance_of(series, i);
        document[{MetadataLevel::instance, series, sop, ""}] = "{}";
        document[{MetadataLevel::instance, series, sop, "InstanceNumber"}] = "\"1 \"";
      }
      image_sets[series] = std::string("set of ") + series;
      service_.add(image_sets[series], kStudy, true, std::move(document));
    }
  }
  MetadataService& service() override { return service_; }

 private:
  MemoryMetadataService service_;
};

const Credentials kKeys{"TESTKEY", "test-secret", "", std::nullopt};
constexpr const char* kEndpoint = "http://data-store.invalid";

class Embedded : public Imported {
 public:
  Embedded() {
    datastore::DataStoreOptions options;
    options.directory = env_.folder() / "store";
    options.worker_program = program("isthmus-import-worker");
    options.access_keys = {{kKeys.access_key_id, kKeys.secret_access_key}};
    data_store_ = std::move(*datastore::open_data_store(env_, options));
    transport_ = http::make_loopback(data_store_->handler());
    S3Options s3;
    s3.endpoint = kEndpoint;
    s3.bucket = "bucket";
    bucket_ = make_s3_store(env_, *transport_, *credentials_, s3);
    HealthImagingOptions imaging;
    imaging.endpoint = kEndpoint;
    imaging.bucket = "bucket";
    imaging.data_access_role_arn = "arn:aws:iam::123456789012:role/import";
    imaging.datastore_id = *data_store_->provision("bucket", "store");
    HealthImagingMetadataOptions metadata;
    metadata.endpoint = kEndpoint;
    metadata.datastore_id = imaging.datastore_id;
    import_ = make_healthimaging_import(env_, *transport_, *credentials_, *bucket_, imaging);
    service_ = make_healthimaging_metadata(env_, *transport_, *credentials_, metadata);
    data_store_->start();
    import_all();
  }
  ~Embedded() override {
    service_.reset();
    import_.reset();
    bucket_.reset();
    transport_.reset();
    data_store_->stop();
  }
  MetadataService& service() override { return *service_; }

 private:
  void import_all() {
    std::vector<Expected> expected;
    for (const char* series : {kFirst, kSecond}) {
      for (int i = 1; i <= 2; ++i) {
        DicomRecipe recipe;
        recipe.series_instance_uid = series;
        recipe.sop_instance_uid = instance_of(series, i);
        const ObjectKey key{"pre/in/" + recipe.sop_instance_uid + ".dcm"};
        const std::string bytes = make_part10(recipe);
        ASSERT_THAT(bucket_->put(key, source_of(bytes), sha256(bytes)), IsOk());
        expected.push_back({DeliveryId::make(env_), key, *Uid::parse(recipe.sop_instance_uid), 0});
      }
    }
    ImportIntent intent;
    intent.id = ImportJobId::make(env_);
    intent.batch = BatchId::make(env_);
    intent.client_token = intent.job_name = "one";
    intent.input_prefix = "pre/in/";
    intent.output_prefix = "pre/out/";
    ASSERT_OK_AND_ASSIGN(const RemoteJob job, import_->start(intent));
    Wakeup never;
    RemoteStatus status;
    for (int i = 0; i < 1500 && status.state == RemoteState::running; ++i) {
      ASSERT_OK_AND_ASSIGN(status, import_->status(job));
      never.wait_for(Milliseconds(20));
    }
    ASSERT_OK_AND_ASSIGN(const auto outcomes,
                         import_->outcomes({job.id, status.output_prefix}, expected));
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      ASSERT_EQ(outcomes[i].kind, OutcomeKind::imported);
      image_sets[i < 2 ? kFirst : kSecond] = outcomes[i].image_set_id;
    }
  }

  TestEnv env_{1, posix_files(), true};
  std::unique_ptr<datastore::DataStore> data_store_;
  std::unique_ptr<http::Transport> transport_;
  std::unique_ptr<CredentialsSource> credentials_ = make_static_credentials(kKeys);
  std::unique_ptr<ObjectStore> bucket_;
  std::unique_ptr<ImportService> import_;
  std::unique_ptr<MetadataService> service_;
};

class Replaced : public Imported {
 public:
  Replaced() {
    image_sets[kFirst] = ReplacingCloud::image_set(1);
    image_sets[kSecond] = ReplacingCloud::image_set(2);
  }
  MetadataService& service() override { return cloud_.service(); }

 private:
  ReplacingCloud cloud_;
};

struct Factory {
  std::string name;
  std::function<std::unique_ptr<Imported>()> make;
};
void PrintTo(const Factory& factory, std::ostream* out) {
  *out << factory.name;
}

AttributeChange of_patient(std::string key, std::optional<std::string> value) {
  AttributeChange change;
  change.action = value ? AttributeAction::set : AttributeAction::remove;
  change.level = MetadataLevel::patient;
  change.key = std::move(key);
  change.value = std::move(value);
  return change;
}

AttributeChange of_instance(int number, std::string key, std::optional<std::string> value) {
  AttributeChange change = of_patient(std::move(key), std::move(value));
  change.level = MetadataLevel::instance;
  change.series_instance_uid = kFirst;
  change.sop_instance_uid = instance_of(kFirst, number);
  return change;
}

class MetadataServiceContract : public testing::TestWithParam<Factory> {
 protected:
  void SetUp() override { subject_ = GetParam().make(); }
  MetadataService& service() { return subject_->service(); }
  const std::string& first() { return subject_->image_sets.at(kFirst); }
  const std::string& second() { return subject_->image_sets.at(kSecond); }

  ImageSetStatus settled(const std::string& image_set) {
    Wakeup never;
    for (int polls = 0; polls < 1500; ++polls) {
      const auto status = service().status(image_set);
      if (!status.ok()) {
        ADD_FAILURE() << describe(status.error());
        return {};
      }
      if (status->phase != ImageSetStatus::Phase::changing) return *status;
      never.wait_for(Milliseconds(10));
    }
    ADD_FAILURE() << "the change does not end";
    return {};
  }
  std::optional<std::string> stored(const std::string& image_set, const AttributeChange& change) {
    const auto values =
        service().values(image_set, settled(image_set).version, MetadataChange{{change}, false});
    if (!values.ok()) {
      ADD_FAILURE() << describe(values.error());
      return std::nullopt;
    }
    return values->at(0);
  }
  // With the stored values quoted, as of the version seen.
  MetadataUpdate update_of(std::vector<AttributeChange> changes, bool force = false) {
    MetadataUpdate update{{std::move(changes), force}, {}, false};
    update.stored = *service().values(first(), settled(first()).version, update.change);
    return update;
  }

  std::unique_ptr<Imported> subject_;
};

TEST_P(MetadataServiceContract, KnowsVersionsAndValues) {
  const ImageSetStatus status = settled(first());

  EXPECT_EQ(status.version, 1);
  EXPECT_TRUE(status.primary);
  EXPECT_TRUE(same_value(stored(first(), of_patient("PatientID", {})), "\"SYNTHETIC-1\""));
  EXPECT_EQ(stored(first(), of_patient("PatientComments", {})), std::nullopt);
  EXPECT_EQ(stored(second(), of_instance(1, "InstanceNumber", {})), std::nullopt);
  EXPECT_EQ(service().status(kFar)->phase, ImageSetStatus::Phase::gone);
}

TEST_P(MetadataServiceContract, SetsAndReplacesAndRemoves) {
  const auto name = of_patient("PatientName", "\"Synthetic^Somebody\"");
  const auto comments = of_patient("PatientComments", "\"new\"");
  ASSERT_OK_AND_ASSIGN(const std::int64_t version,
                       service().update(first(), update_of({name, comments}), 1));
  EXPECT_EQ(version, 2);
  EXPECT_FALSE(settled(first()).update_failed);
  EXPECT_EQ(stored(first(), name), name.value);
  EXPECT_EQ(stored(first(), comments), comments.value);

  const auto gone = of_patient("PatientComments", {});
  ASSERT_THAT(service().update(first(), update_of({gone}), 2), IsOk());
  EXPECT_EQ(settled(first()).version, 3);
  EXPECT_EQ(stored(first(), gone), std::nullopt);
}

TEST_P(MetadataServiceContract, ChangesEverythingOfAStudyAtOnce) {
  const auto name = of_patient("PatientName", "\"Synthetic^Somebody\"");
  MetadataUpdate update = update_of({name});
  update.include_study_image_sets = true;

  ASSERT_THAT(service().update(first(), update, 1), IsOk());

  EXPECT_EQ(settled(first()).version, 2);
  EXPECT_EQ(settled(second()).version, 2);
  EXPECT_EQ(stored(second(), name), name.value);
}

TEST_P(MetadataServiceContract, RefusesAVersionThatIsNotTheNewest) {
  const auto update = update_of({of_patient("PatientName", "\"Synthetic^Somebody\"")});
  ASSERT_THAT(service().update(first(), update, 1), IsOk());
  settled(first());

  EXPECT_THAT(service().update(first(), update, 1), FailsWith("metadata.stale", Fate::permanent));
  EXPECT_THAT(service().revert(first(), 1, 1), FailsWith("metadata.stale", Fate::permanent));
  EXPECT_EQ(settled(first()).version, 2);
}

TEST_P(MetadataServiceContract, GoesBackToAnEarlierVersion) {
  const auto name = of_patient("PatientName", "\"Synthetic^Somebody\"");
  const auto before = stored(first(), name);
  ASSERT_THAT(service().update(first(), update_of({name}), 1), IsOk());
  settled(first());

  ASSERT_OK_AND_ASSIGN(const std::int64_t version, service().revert(first(), 1, 2));

  EXPECT_EQ(version, 3);
  EXPECT_EQ(settled(first()).version, 3);
  EXPECT_EQ(stored(first(), name), before);
}

TEST_P(MetadataServiceContract, TakesSequencesAndPrivateElementsByForce) {
  auto sequence =
      of_instance(1, "SourceImageSequence", R"([{"ReferencedSOPInstanceUID":"2.25.7"}])");
  auto own = of_instance(1, "001910F9", "\"97\"");
  own.vr = "DS";

  ASSERT_THAT(service().update(first(), update_of({sequence, own}, true), 1), IsOk());

  EXPECT_FALSE(settled(first()).update_failed);
  EXPECT_EQ(stored(first(), sequence), sequence.value);
  EXPECT_EQ(stored(first(), own), own.value);
}

TEST_P(MetadataServiceContract, RemovesAnInstanceByForceAndBringsItBack) {
  AttributeChange gone = of_instance(2, "", {});
  gone.action = AttributeAction::remove_instance;
  EXPECT_EQ(stored(first(), gone), "{}");

  ASSERT_THAT(service().update(first(), update_of({gone}, true), 1), IsOk());
  EXPECT_EQ(stored(first(), gone), std::nullopt);
  ASSERT_THAT(service().revert(first(), 1, 2), IsOk());

  EXPECT_EQ(settled(first()).version, 3);
  EXPECT_EQ(stored(first(), gone), "{}");
}

TEST_P(MetadataServiceContract, KnowsNoImageSetThatIsNotThere) {
  const auto name = of_patient("PatientName", "\"Synthetic^Somebody\"");

  EXPECT_THAT(service().update(kFar, update_of({name}), 1),
              FailsWith("metadata.not_found", Fate::permanent));
  EXPECT_THAT(service().revert(kFar, 1, 2), FailsWith("metadata.not_found", Fate::permanent));
}

INSTANTIATE_TEST_SUITE_P(
    Services, MetadataServiceContract,
    testing::Values(Factory{"memory", [] { return std::make_unique<Memory>(); }},
                    Factory{"loopback", [] { return std::make_unique<Embedded>(); }},
                    Factory{"google", [] { return std::make_unique<Replaced>(); }}),
    [](const auto& one) { return one.param.name; });

// What the real service refuses, and the fake does not look at.
TEST(HealthImagingMetadata, RefusesWhatTheServiceDoesNotTake) {
  Embedded store;
  const std::string set = store.image_sets.at(kFirst);
  auto own = of_instance(1, "001910F9", "\"97\"");
  own.vr = "DS";

  EXPECT_THAT(store.service().update(set, {{{own}, false}, {std::nullopt}, false}, 1),
              FailsWith("metadata.invalid", Fate::permanent));
  const auto large = of_patient("PatientComments", '"' + std::string(10'000, 'x') + '"');
  EXPECT_THAT(store.service().update(set, {{{large}, false}, {std::nullopt}, false}, 1),
              FailsWith("metadata.too_large", Fate::permanent));
}

}  // namespace
}  // namespace isthmus::test
