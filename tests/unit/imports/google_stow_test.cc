// One instance per request: what is made of answers, and of answers that never came.
#include <gmock/gmock.h>

#include <map>

#include "imports/google.h"
#include "support/matchers.h"
#include "support/memory_object_store.h"
#include "support/scripted_transport.h"
#include "support/test_env.h"

namespace isthmus::test {
namespace {

constexpr const char* kStore = "projects/p1/locations/l1/datasets/ds1/dicomStores/st1";

std::string stored(const std::string& uid) {
  return R"({"00081199":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":[")" + uid +
         R"("]}}]}})";
}
std::string failed(const std::string& uid, int reason, const std::string& text) {
  return R"([{"00081198":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":[")" + uid +
         R"("]},"00081197":{"vr":"US","Value":[)" + std::to_string(reason) +
         R"(]},"00091097":{"vr":"UT","Value":[")" + text + R"("]}}]}}])";
}
std::string part10(const std::string& dataset) {
  std::string file(128, '\0');
  file += "DICM";
  file += std::string("\x02\x00\x00\x00UL\x04\x00\x00\x00\x00\x00", 12);
  return file + dataset;
}

class GoogleStow : public testing::Test {
 protected:
  GoogleStow() {
    intent.id = ImportJobId::make(env);
    intent.batch = BatchId::make(env);
    intent.job_name = "isthmus-1";
    intent.input_prefix = "pre/b1/in/";
    options.dicom_store = kStore;
    options.retry.attempts = 1;
  }
  ImportService& service() {
    if (!service_) {
      service_ = make_google_stow(
          env, network, *tokens_, bucket,
          [this](const ObjectKey& key) -> Result<std::optional<Instance>> {
            const auto known = instances.find(key);
            return known == instances.end() ? std::nullopt : std::optional(known->second);
          },
          options);
    }
    return *service_;
  }
  Expected expect(const std::string& uid) {
    const ObjectKey key{"pre/b1/in/" + uid + ".dcm"};
    Instance& instance = instances[key];
    instance.study_instance_uid = *Uid::parse("1.2");
    instance.series_instance_uid = *Uid::parse("1.2.3");
    instance.sop_instance_uid = *Uid::parse(uid);
    instance.dataset_digest = sha256("data set of " + uid);
    bucket.plant(key, "bytes of " + uid);
    return {DeliveryId::make(env), key, instance.sop_instance_uid, 0};
  }
  // Of one instance, after everything was sent.
  Outcome outcome_of(const Expected& one) {
    const RemoteJob job = *service().start(intent);
    EXPECT_EQ(service().status(job)->state, RemoteState::running);
    EXPECT_EQ(service().status(job)->state, RemoteState::succeeded);
    return service().outcomes(job, std::vector{one})->at(0);
  }

  TestEnv env;
  ScriptedTransport network;
  MemoryObjectStore bucket;
  std::map<ObjectKey, Instance> instances;
  GoogleStowOptions options;
  ImportIntent intent;

 private:
  std::unique_ptr<TokenSource> tokens_ = make_static_token("token");
  std::unique_ptr<ImportService> service_;
};

TEST_F(GoogleStow, SendsEachInstanceInARequestOfItsOwn) {
  const Expected one = expect("2.25.1");
  network.answers(200, stored("2.25.1"));

  const Outcome outcome = outcome_of(one);

  EXPECT_EQ(outcome.kind, OutcomeKind::imported);
  EXPECT_EQ(outcome.image_set_id, "studies/1.2/series/1.2.3");
  EXPECT_EQ(network.last().url,
            std::string("https://healthcare.googleapis.com/v1/") + kStore + "/dicomWeb/studies");
  EXPECT_EQ(network.last().body, "bytes of 2.25.1");
  EXPECT_EQ(network.last().headers.get("Content-Type"), "application/dicom");
  EXPECT_EQ(network.last().headers.get("Accept"), "application/dicom+json");
}

TEST_F(GoogleStow, LetsTheBodyDecideAndNotTheStatus) {
  const Expected one = expect("2.25.1");
  network.answers(200, failed("2.25.1", 0xC122, "no such syntax"));

  const Outcome outcome = outcome_of(one);

  EXPECT_EQ(outcome.kind, OutcomeKind::rejected);
  EXPECT_EQ(outcome.reason_code, "stow.c122");
  EXPECT_EQ(outcome.reason, "no such syntax");
}

TEST_F(GoogleStow, TriesAgainWhatHadNoRoom) {
  const Expected one = expect("2.25.1");
  network.answers(409, failed("2.25.1", 0xA700, "full"));

  EXPECT_EQ(outcome_of(one).kind, OutcomeKind::unaccounted);
}

TEST_F(GoogleStow, KnowsItsOwnBytesThatAreThereAlready) {
  const Expected one = expect("2.25.1");
  network.answers(409, failed("2.25.1", 272, "the instance already exists"))
      .answers(200, part10("data set of 2.25.1"));

  EXPECT_EQ(outcome_of(one).kind, OutcomeKind::imported);
}

TEST_F(GoogleStow, TellsADuplicate) {
  const Expected one = expect("2.25.1");
  network.answers(409, failed("2.25.1", 272, "the instance already exists"))
      .answers(200, part10("somebody else's"));

  EXPECT_EQ(outcome_of(one).reason_code, "import.duplicate");
}

TEST_F(GoogleStow, GoesOnAfterTroubleWithWhatWasNotAnswered) {
  const Expected one = expect("2.25.1"), two = expect("2.25.2");
  const RemoteJob job = *service().start(intent);
  network.answers(200, stored("2.25.1")).answers(503);

  EXPECT_EQ(service().status(job)->state, RemoteState::running);
  network.answers(503);
  EXPECT_THAT(service().status(job), FailsWith("import.unavailable", Fate::transient));
  network.answers(200, stored("2.25.2"));
  EXPECT_EQ(service().status(job)->state, RemoteState::running);
  EXPECT_EQ(service().status(job)->state, RemoteState::succeeded);

  EXPECT_EQ(network.seen().size(), 4U);
  const auto all = service().outcomes(job, std::vector{one, two});
  EXPECT_EQ(all->at(0).kind, OutcomeKind::imported);
  EXPECT_EQ(all->at(1).kind, OutcomeKind::imported);
}

TEST_F(GoogleStow, StopsAfterAWhile) {
  expect("2.25.1");
  expect("2.25.2");
  options.work_at_once = Milliseconds(0);
  const RemoteJob job = *service().start(intent);
  network.answers(200, stored("2.25.1"));

  EXPECT_EQ(service().status(job)->state, RemoteState::running);
  EXPECT_EQ(network.seen().size(), 1U);
}

TEST_F(GoogleStow, AsksSomebodyWhenItMayNotStore) {
  expect("2.25.1");
  const RemoteJob job = *service().start(intent);
  network.answers(403, R"({"error":{"status":"PERMISSION_DENIED"}})");

  EXPECT_THAT(service().status(job), FailsWith("import.denied", Fate::transient));
}

}  // namespace
}  // namespace isthmus::test
