// What the Healthcare client asks, and what it makes of operations, searches, metrics and log
// entries.
#include <gmock/gmock.h>

#include <map>

#include "imports/google.h"
#include "support/matchers.h"
#include "support/memory_object_store.h"
#include "support/scripted_transport.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kStore = "projects/p1/locations/l1/datasets/ds1/dicomStores/st1";
constexpr const char* kOperations =
    "https://healthcare.googleapis.com/v1/projects/p1/locations/l1/datasets/ds1/operations";

std::string operation(const std::string& id, const std::string& counter,
                      const std::string& rest = "", const std::string& created = "") {
  return R"({"name":"projects/p1/locations/l1/datasets/ds1/operations/)" + id +
         R"(","metadata":{"apiMethodName":"google.cloud.healthcare.v1.dicom.DicomService.)" +
         R"(ImportDicomData","createTime":")" +
         (created.empty() ? "2026-01-31T09:30:05.123456789Z" : created) + R"(","counter":{)" +
         counter + "}}" + rest + "}";
}
std::string ended(const std::string& counter) {
  return operation("1", counter, R"(,"done":true,"response":{})");
}
std::string found(const std::vector<std::string>& sop_uids) {
  std::string list;
  for (const std::string& uid : sop_uids) {
    list += (list.empty() ? "" : ",") +
            (R"({"0020000E":{"vr":"UI","Value":["1.2.3"]},"00080018":{"vr":"UI","Value":[")" + uid +
             R"("]}})");
  }
  return "[" + list + "]";
}
// Preamble, group 0002 of nothing but its length, and a data set.
std::string part10(const std::string& dataset) {
  std::string file(128, '\0');
  file += "DICM";
  file += std::string("\x02\x00\x00\x00UL\x04\x00\x00\x00\x00\x00", 12);
  return file + dataset;
}

class GoogleImport : public testing::Test {
 protected:
  GoogleImport() {
    intent_.id = ImportJobId::make(env);
    intent_.batch = BatchId::make(env);
    intent_.client_token = intent_.job_name = "isthmus-1";
    intent_.input_prefix = "pre/b1/in/";
    intent_.output_prefix = "pre/b1/out/";
    intent_.intended_at = env.clock.wall_now();
    options.dicom_store = kStore;
    options.bucket = "bk";
    options.retry.attempts = 1;
  }
  ImportService& service() {
    if (!service_) {
      service_ = make_google_import(
          env, network, *tokens_, bucket,
          [this](const ObjectKey& key) -> Result<std::optional<Instance>> {
            const auto known = instances.find(key);
            return known == instances.end() ? std::nullopt : std::optional(known->second);
          },
          options);
    }
    return *service_;
  }
  Expected expect(const std::string& sop_uid, std::int64_t attempts = 0) {
    const ObjectKey key{"pre/b1/in/" + sop_uid + ".dcm"};
    Instance& instance = instances[key];
    instance.study_instance_uid = *Uid::parse("1.2");
    instance.series_instance_uid = *Uid::parse("1.2.3");
    instance.sop_instance_uid = *Uid::parse(sop_uid);
    instance.dataset_digest = sha256("data set of " + sop_uid);
    bucket.plant(key, "x");
    return {DeliveryId::make(env), key, instance.sop_instance_uid, attempts};
  }
  std::vector<Outcome> outcomes(const std::vector<Expected>& expected) {
    const auto all = service().outcomes({"1", ""}, expected);
    EXPECT_THAT(all, IsOk());
    return all.ok() ? *all : std::vector<Outcome>();
  }

  TestEnv env;
  ScriptedTransport network;
  MemoryObjectStore bucket;
  std::map<ObjectKey, Instance> instances;
  GoogleImportOptions options;
  ImportIntent intent_;

 private:
  std::unique_ptr<TokenSource> tokens_ = make_static_token("token");
  std::unique_ptr<ImportService> service_;
};

// --- starting, and finding again

TEST_F(GoogleImport, AsksForEverythingUnderTheBatch) {
  options.storage_class = "NEARLINE";
  network.answers(200, R"({"name":"projects/p1/locations/l1/datasets/ds1/operations/77"})");

  ASSERT_OK_AND_ASSIGN(const RemoteJob job, service().start(intent_));

  EXPECT_EQ(job.id, "77");
  EXPECT_EQ(network.last().method, "POST");
  EXPECT_EQ(network.last().url,
            std::string("https://healthcare.googleapis.com/v1/") + kStore + ":import");
  EXPECT_EQ(network.last().body, R"({"blobStorageSettings":{"blobStorageClass":"NEARLINE"},)"
                                 R"("gcsSource":{"uri":"gs://bk/pre/b1/in/**.dcm"}})");
  EXPECT_EQ(network.last().headers.get("Authorization"), "Bearer token");
}

TEST_F(GoogleImport, IsNotStartedTwiceByATryOfItsOwn) {
  options.retry.attempts = 4;
  network.answers(503, R"({"error":{"code":503,"status":"UNAVAILABLE"}})");

  EXPECT_THAT(service().start(intent_), FailsWith("import.unavailable", Fate::transient));
  EXPECT_EQ(network.seen().size(), 1U);
}

TEST_F(GoogleImport, KnowsItsOperationByTheNoteInTheBucket) {
  network.answers(200, R"({"name":"a/operations/77"})");
  ASSERT_THAT(service().start(intent_), IsOk());

  EXPECT_EQ(service().start(intent_)->id, "77");
  EXPECT_EQ((*service().find(intent_))->id, "77");
  EXPECT_EQ(network.seen().size(), 1U);
}

TEST_F(GoogleImport, FindsTheOperationWhoseAnswerWasLost) {
  expect("2.25.1");
  expect("2.25.2");
  ImportIntent other = intent_;
  other.job_name = "isthmus-0";
  network.answers(200, R"({"name":"a/operations/1"})");
  ASSERT_THAT(service().start(other), IsOk());
  network
      .answers(200, R"({"operations":[)" + operation("1", R"("success":"2")", ",\"done\":true") +
                        "," + operation("2", R"("success":"3")", ",\"done\":true") + "," +
                        operation("3", R"("success":"2")", "", "2026-01-31T08:00:00Z") +
                        R"(],"nextPageToken":"more"})")
      .answers(200, R"({"operations":[)" + operation("4", R"("pending":"1","success":"1")") + "]}");

  ASSERT_OK_AND_ASSIGN(const auto job, service().find(intent_));

  ASSERT_TRUE(job);
  EXPECT_EQ(job->id, "4");  // 1 is another's, 2 counts too many, 3 is too old
  EXPECT_EQ(network.last().url, std::string(kOperations) + "?pageSize=500&pageToken=more");
  EXPECT_EQ(service().start(intent_)->id, "4");
}

TEST_F(GoogleImport, TakesNoneOfTwoThatMayBeIt) {
  expect("2.25.1");
  network.answers(200, R"({"operations":[)" + operation("4", "") + "," + operation("5", "") + "]}");

  ASSERT_OK_AND_ASSIGN(const auto job, service().find(intent_));

  EXPECT_FALSE(job);
  EXPECT_TRUE(env.log.contains("import.operation_ambiguous"));
}

// --- status

TEST_F(GoogleImport, TellsHowAnOperationIsGoing) {
  const auto state_of = [&](const std::string& answer) {
    network.answers(200, answer);
    return service().status({"1", ""})->state;
  };
  EXPECT_EQ(state_of(operation("1", R"("pending":"3")")), RemoteState::running);
  EXPECT_EQ(state_of(ended(R"("success":"9","failure":"1")")), RemoteState::succeeded);
  EXPECT_EQ(state_of(operation("1", "", R"(,"done":true,"error":{"code":7,"message":"m"})")),
            RemoteState::failed);
  // Cancelled in the middle: what it stored is found by comparison.
  EXPECT_EQ(state_of(operation("1", R"("success":"4")", R"(,"done":true,"error":{"code":1})")),
            RemoteState::succeeded);
  EXPECT_EQ(network.last().url, std::string(kOperations) + "/1");
}

TEST_F(GoogleImport, TellsRefusalsApart) {
  const auto error_of = [&](int status, const std::string& name) {
    network.answers(status, R"({"error":{"code":1,"status":")" + name + R"("}})");
    return service().status({"1", ""}).error();
  };
  EXPECT_EQ(error_of(404, "NOT_FOUND").code, "import.not_found");
  EXPECT_EQ(error_of(403, "PERMISSION_DENIED").code, "import.denied");
  EXPECT_EQ(error_of(429, "RESOURCE_EXHAUSTED").code, "import.throttled");
  EXPECT_EQ(error_of(503, "UNAVAILABLE").fate, Fate::transient);
  EXPECT_EQ(error_of(400, "INVALID_ARGUMENT").code, "import.invalid");
}

// --- outcomes

TEST_F(GoogleImport, SaysImportedOfWhatASearchFinds) {
  const std::vector<Expected> expected = {expect("2.25.1"), expect("2.25.2")};
  network.answers(200, ended(R"("success":"2")")).answers(200, found({"2.25.2", "2.25.1"}));

  const auto all = outcomes(expected);

  ASSERT_EQ(all.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(all[i].delivery, expected[i].delivery);
    EXPECT_EQ(all[i].kind, OutcomeKind::imported);
    EXPECT_EQ(all[i].image_set_id, "studies/1.2/series/1.2.3");
  }
  EXPECT_THAT(network.last().url, HasSubstr("/dicomWeb/studies/1.2/instances?limit=5000&offset=0"));
}

TEST_F(GoogleImport, NeverTakesCountersForInstances) {
  network.answers(200, ended(R"("success":"1")"))
      .answers(200, found({}))
      .answers(200, R"({"instanceCount":"0"})");

  const auto all = outcomes({expect("2.25.1")});

  EXPECT_EQ(all.at(0).kind, OutcomeKind::unaccounted);
  EXPECT_EQ(all.at(0).reason_code, "import.not_mentioned");
}

TEST_F(GoogleImport, WaitsForASearchThatLagsBehindTheMetrics) {
  network.answers(200, ended(R"("success":"1")"))
      .answers(200, found({}))
      .answers(200, R"({"instanceCount":"1"})");

  EXPECT_THAT(service().outcomes({"1", ""}, std::vector{expect("2.25.1")}),
              FailsWith("import.output_missing", Fate::transient));
}

TEST_F(GoogleImport, TriesOnceMoreWhatWasRefusedWithoutAReason) {
  const auto script = [&] {
    network.answers(200, ended(R"("failure":"1")")).answers(200, found({}));
    network.answers(403, "");  // metrics of a study that is not there
  };
  script();
  EXPECT_EQ(outcomes({expect("2.25.1", 0)}).at(0).kind, OutcomeKind::unaccounted);
  script();
  const auto second = outcomes({expect("2.25.1", 1)});
  EXPECT_EQ(second.at(0).kind, OutcomeKind::rejected);
  EXPECT_EQ(second.at(0).reason_code, "import.refused");
}

TEST_F(GoogleImport, SaysNothingOfAFileThatIsNotInTheBucket) {
  const Expected gone = expect("2.25.1", 3);
  ASSERT_THAT(bucket.remove(gone.key), IsOk());
  network.answers(200, ended(R"("failure":"1")")).answers(200, found({}));
  network.answers(200, R"({"instanceCount":"0"})");

  EXPECT_EQ(outcomes({gone}).at(0).kind, OutcomeKind::unaccounted);
}

TEST_F(GoogleImport, GivesTheLogsReasons) {
  options.logging_endpoint = "https://logging.googleapis.com";
  const std::vector<Expected> expected = {expect("2.25.1"), expect("2.25.2")};
  network.answers(200, ended(R"("failure":"2")")).answers(200, found({}));
  network.answers(200, R"({"instanceCount":"0"})");
  network.answers(200, R"({"entries":[{"jsonPayload":{"source":"gs://bk/pre/b1/in/2.25.1.dcm",)"
                       R"("error":{"code":3,"message":"empty DICOM instance found"}}},)"
                       R"({"jsonPayload":{"source":"gs://bk/pre/b1/in/2.25.2.dcm",)"
                       R"("error":{"code":14,"message":"later"}}}]})");

  const auto all = outcomes(expected);

  EXPECT_EQ(network.last().url, "https://logging.googleapis.com/v2/entries:list");
  EXPECT_THAT(network.last().body, HasSubstr(R"("resourceNames":["projects/p1"])"));
  EXPECT_EQ(all.at(0).kind, OutcomeKind::rejected);
  EXPECT_EQ(all.at(0).reason, "empty DICOM instance found");
  EXPECT_EQ(all.at(1).kind, OutcomeKind::unaccounted);
  EXPECT_EQ(all.at(1).reason_code, "import.rpc_14");
}

TEST_F(GoogleImport, TellsADuplicateFromWhatItStored) {
  options.verified_instances = 5;
  const std::vector<Expected> expected = {expect("2.25.1"), expect("2.25.2")};
  network.answers(200, ended(R"("success":"2")"))
      .answers(200, found({"2.25.1", "2.25.2"}))
      .answers(200, part10("data set of 2.25.1"))
      .answers(200, part10("somebody else's"));

  const auto all = outcomes(expected);

  EXPECT_EQ(all.at(0).kind, OutcomeKind::imported);
  EXPECT_EQ(all.at(1).kind, OutcomeKind::rejected);
  EXPECT_EQ(all.at(1).reason_code, "import.duplicate");
  EXPECT_EQ(all.at(1).delivery, expected[1].delivery);
  EXPECT_EQ(network.last().headers.get("Accept"), "application/dicom; transfer-syntax=*");
}

TEST_F(GoogleImport, LooksAtBytesWhoseUidCameTwice) {
  const Expected one = expect("2.25.1");
  instances[one.key].conflicts_with = InstanceId::make(env);
  network.answers(200, ended(R"("success":"1")"))
      .answers(200, found({"2.25.1"}))
      .answers(200, part10("the first one's"));

  EXPECT_EQ(outcomes({one}).at(0).reason_code, "import.duplicate");
}

TEST_F(GoogleImport, WaitsForTheEndOfAnOperation) {
  network.answers(200, operation("1", R"("success":"1")"));

  EXPECT_THAT(service().outcomes({"1", ""}, std::vector{expect("2.25.1")}),
              FailsWith("import.output_missing", Fate::transient));
}

}  // namespace
}  // namespace isthmus::test
