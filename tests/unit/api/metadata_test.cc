// The metadata routes over a real ledger and a service in memory: what is refused before anything
// is kept, what an order answers, and who sees values.
#include "api/metadata.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "contract/ledger/ledger_fixture.h"
#include "http/loopback.h"
#include "support/memory_access_rows.h"
#include "support/memory_metadata_service.h"
#include "support/scripted_authenticator.h"

namespace isthmus::api {
namespace {

using nlohmann::json;

struct Answer {
  int status = 0;
  json body;
  std::string location;
  std::string code() const { return body.value("code", ""); }
};

class MetadataRoutes : public test::LedgerTest {
 protected:
  void SetUp() override {
    LedgerTest::SetUp();
    receive(1, 7);
    study_ = arrival(1, 7).identity.study_instance_uid.text();
    add_metadata_routes(router_, *ledger_->metadata_updates(), services_);
  }
  Answer call(const std::string& method, const std::string& path, const std::string& body = "") {
    http::Request request;
    request.method = method;
    request.url = "http://gateway.internal" + path;
    if (!body.empty()) request.body = source_of(body);
    auto response = http::make_loopback(router_)->send(std::move(request));
    EXPECT_THAT(response, test::IsOk());
    Answer answer;
    answer.status = response->status;
    answer.location = response->headers.get("Location");
    if (response->body) {
      answer.body = json::parse(read_all(*response->body, MiB).value(), nullptr, false);
    }
    return answer;
  }
  Answer patch(const std::string& body, const std::string& below = "") {
    return call("PATCH", "/v1/studies/" + study_ + below, body);
  }
  // The instance of the study is imported into the image set "set".
  void import() {
    const DeliveryId id = delivery(ledger_->instances(study_, 1)->front().instance.id).id;
    const BatchId batch = ledger_->join(test::kCloud, std::nullopt, {id}).value();
    ASSERT_THAT(ledger_->advance(batch, BatchEvent::seal, nullptr), test::IsOk());
    ASSERT_THAT(ledger_->mark_staged(id, "etag"), test::IsOk());
    ASSERT_THAT(ledger_->conclude_staging(test::kCloud), test::IsOk());
    const ImportJobId job = ledger_->intend(batch, "p").value().id;
    ASSERT_THAT(ledger_->job_started(job, {"remote", ""}, now()), test::IsOk());
    ASSERT_THAT(ledger_->job_ended(job, ImportJobEvent::ended_well, "", "out/", now()),
                test::IsOk());
    auto record = outcome(id, OutcomeKind::imported);
    record.outcome.image_set_id = kSet;
    ASSERT_THAT(ledger_->record_outcomes(batch, {record}), test::IsOk());
    service_.add(kSet, study_, true,
                 {{{MetadataLevel::patient, "", "", "PatientName"}, "\"Synthetic^Nobody\""}});
  }
  std::size_t ordered() { return ledger_->metadata_updates()->list({}, 100)->size(); }

  static constexpr const char* kSet = "0123456789abcdef0123456789abcdef";
  static constexpr const char* kName =
      R"({"set":{"PatientName":{"Value":[{"Alphabetic":"Synthetic^Other"}]}}})";
  std::string study_;
  test::MemoryMetadataService service_;
  MetadataServices services_{{test::kCloud, &service_}};
  test::ScriptedAuthenticator authenticator_;
  test::MemoryAccessRows audit_;
  GuardedRouter router_{env_, authenticator_, audit_};
};

TEST_F(MetadataRoutes, AnOrderIsAcceptedAndCanBeLookedAt) {
  const Answer answer = patch(kName);

  ASSERT_EQ(answer.status, 202) << answer.body;
  EXPECT_EQ(answer.body["state"], "pending");
  EXPECT_EQ(answer.body["requested_by"], "tester");
  EXPECT_EQ(answer.body["attributes"][0]["value"], "Synthetic^Other");
  const Answer shown = call("GET", answer.location);
  EXPECT_EQ(shown.status, 200);
  EXPECT_EQ(shown.body, answer.body);
  const Answer listed = call("GET", "/v1/metadata-updates?study=" + study_ + "&state=pending");
  ASSERT_EQ(listed.body["updates"].size(), 1U);
  EXPECT_EQ(listed.body["updates"][0]["id"], answer.body["id"]);
  EXPECT_TRUE(call("GET", "/v1/metadata-updates?state=failed").body["updates"].empty());
}

TEST_F(MetadataRoutes, ValuesAreForThoseWhoMayReadPatientData) {
  import();
  authenticator_.caller.scopes = {Scope::update, Scope::read};

  const Answer dry = call("PATCH", "/v1/studies/" + study_ + "?dryRun=true", kName);
  const Answer answer = patch(kName);
  const Answer shown = call("GET", answer.location);

  for (const Answer& one : {dry, answer, shown}) {
    EXPECT_LT(one.status, 300) << one.body;
    EXPECT_EQ(one.body.dump().find("Synthetic^"), std::string::npos) << one.body;
    EXPECT_NE(one.body.dump().find("PatientName"), std::string::npos) << one.body;
  }
  EXPECT_EQ(dry.body["updates"][0]["image_sets"][0]["attributes"][0]["changes"], true);
  authenticator_.caller.scopes = {Scope::read_phi};
  EXPECT_NE(call("GET", answer.location).body.dump().find("Synthetic^Other"), std::string::npos);
  EXPECT_EQ(patch(kName).status, 403);
}

TEST_F(MetadataRoutes, ADryRunShowsBothValuesAndKeepsNothing) {
  import();

  const Answer dry = call("PATCH", "/v1/studies/" + study_ + "?dryRun=true", kName);

  ASSERT_EQ(dry.status, 200) << dry.body;
  const json& attribute = dry.body["updates"][0]["image_sets"][0]["attributes"][0];
  EXPECT_EQ(attribute["before"], "Synthetic^Nobody");
  EXPECT_EQ(attribute["wanted"], "Synthetic^Other");
  EXPECT_EQ(ordered(), 0U);
  EXPECT_EQ(service_.calls(test::MemoryMetadataService::Call::update), 0);
}

TEST_F(MetadataRoutes, RefuseWhatCannotBeAndKeepNothing) {
  const struct {
    const char* below;
    const char* body;
    int status;
    const char* code;
  } cases[] = {
      {"", "nonsense", 400, "api.bad_request"},
      {"", "[]", 400, "api.bad_request"},
      {"", "{}", 400, "api.bad_request"},
      {"", R"({"sets":{}})", 400, "api.bad_request"},
      {"", R"({"remove":[7]})", 400, "api.bad_request"},
      {"", R"({"set":{"Secret^Name":{}}})", 400, "api.bad_request"},
      {"", R"({"set":{"PatientName":{"Value":[7]}}})", 400, "api.bad_attribute"},
      {"", R"({"set":{"PatientName":{"Value":["A"]}},"remove":["00100010"]})", 400,
       "api.bad_request"},
      {"", R"({"remove":["PatientName"],"expect":{"PatientID":{}}})", 400, "api.bad_request"},
      {"", R"({"remove":["StudyInstanceUID"],"force":["StudyInstanceUID"]})", 409,
       "metadata.not_changeable"},
      {"", R"({"remove":["PixelData"]})", 409, "metadata.not_changeable"},
      {"", R"({"remove":["TransferSyntaxUID"]})", 409, "metadata.not_changeable"},
      {"", R"({"remove":["Modality"]})", 409, "metadata.wrong_level"},
      {"", R"({"remove":["Rows"]})", 409, "metadata.wrong_level"},
      {"", R"({"remove":["00191001"]})", 409, "metadata.wrong_level"},
      {"", R"({"set":{"StudyID":{"Value":["7"]}}})", 409, "metadata.needs_force"},
      {"", R"({"remove":["OtherPatientIDsSequence"]})", 409, "metadata.needs_force"},
      {"", R"({"removeInstance":true})", 400, "api.bad_request"},
      {"/series/1.2.826.7.1", R"({"remove":["PatientName"]})", 409, "metadata.wrong_level"},
      {"/series/1.2.826.7.1/instances/1.2.826.7.1.1", R"({"remove":["00191001"]})", 409,
       "metadata.needs_force"},
      {"/series/1.2.826.7.1/instances/1.2.826.7.1.1", R"({"removeInstance":true})", 409,
       "metadata.needs_force"},
      {"/series/1.2.826.7.1/instances/1.2.826.7.1.1",
       R"({"set":{"00191001":{"Value":["x"]}},"force":["00191001"]})", 400, "api.bad_attribute"},
      {"/series/nonsense", R"({"remove":["Modality"]})", 400, "api.bad_request"},
  };
  for (const auto& one : cases) {
    const Answer answer = patch(one.body, one.below);
    EXPECT_EQ(answer.status, one.status) << one.body << answer.body;
    EXPECT_EQ(answer.code(), one.code) << one.body;
    EXPECT_EQ(answer.body.dump().find("Secret"), std::string::npos);
  }
  EXPECT_EQ(patch("{\"set\":" + std::string(100'000, '[') + "}").code(), "api.bad_request");
  EXPECT_EQ(call("PATCH", "/v1/studies/1.9.9", kName).code(), "metadata.not_found");
  EXPECT_EQ(call("PATCH", "/v1/studies/" + study_ + "?destination=other", kName).code(),
            "metadata.not_supported");
  EXPECT_EQ(call("PATCH", "/v1/studies/" + study_ + "?dryRun=maybe", kName).status, 400);
  EXPECT_EQ(ordered(), 0U);
}

// PS3.5 section 6.2: what the service would refuse, or keep for good, it is not asked for.
TEST_F(MetadataRoutes, RefuseValuesThatAreNotOfTheirVrInADryRunAndInEarnest) {
  import();
  const std::string of_instance = "/series/1.2.826.7.1/instances/1.2.826.7.1.1";
  const struct {
    std::string below, key, body;
  } cases[] = {
      {"", "PatientBirthDate", R"({"PatientBirthDate":{"Value":["Secret"]}})"},
      {"", "PatientBirthDate", R"({"PatientBirthDate":{"Value":["20260230"]}})"},
      {"", "PatientBirthDate", R"({"PatientBirthDate":{"vr":"LO","Value":["Secret"]}})"},
      {"", "PatientBirthDate", R"({"PatientBirthDate":{"vr":"OB","InlineBinary":"AAAA"}})"},
      {"", "StudyTime", R"({"StudyTime":{"Value":["250000"]}})"},
      {"", "PatientSex", R"({"PatientSex":{"Value":["Secret"]}})"},
      {"", "PatientID", R"({"PatientID":{"Value":["Secret\\Secret"]}})"},
      {"", "PatientID", R"({"PatientID":{"Value":[")" + std::string(65, 'S') + R"("]}})"},
      {"", "PatientWeight", R"({"PatientWeight":{"Value":[70.123456789012345]}})"},
      {"", "PatientName", R"({"PatientName":{"Value":[{"Alphabetic":"Secret=Secret"}]}})"},
      {"", "StudyID", R"({"StudyID":{"Value":["12345678901234567"]}})"},
      {of_instance, "Rows", R"({"Rows":{"Value":[65536]}})"},
      {of_instance, "InstanceNumber", R"({"InstanceNumber":{"Value":["4294967296"]}})"},
      {of_instance, "00191001", R"({"00191001":{"vr":"UI","Value":["Secret"]}})"},
      {of_instance, "ReferencedSOPInstanceUID",
       R"({"ReferencedImageSequence":{"Value":[{"00081155":{"vr":"UI","Value":["Secret"]}}]}})"},
  };
  const std::string forced = R"(,"force":["StudyID","00191001","ReferencedImageSequence"]})";
  for (const auto& one : cases) {
    const std::string body = "{\"set\":" + one.body + forced;
    const Answer dry = patch(body, one.below + "?dryRun=true");
    const Answer answer = patch(body, one.below);
    EXPECT_EQ(dry.status, 400) << one.body << dry.body;
    EXPECT_EQ(dry.code(), "api.bad_value") << one.body;
    EXPECT_EQ(answer.body, dry.body);
    EXPECT_TRUE(dry.body.value("detail", "").starts_with(one.key + " ")) << dry.body;
    EXPECT_EQ(dry.body.dump().find("Secret"), std::string::npos) << dry.body;
  }
  EXPECT_EQ(ordered(), 0U);
}

TEST_F(MetadataRoutes, TakeValuesAtTheLimitsOfTheirVr) {
  const Answer answer = patch(R"({"set":{
      "PatientName":{"Value":[{"Alphabetic":"A^B^C^D^E","Ideographic":"\u5c71","Phonetic":"F"}]},
      "PatientID":{"Value":["0123456789012345678901234567890123456789012345678901234567890123"]},
      "PatientBirthDate":{"Value":["20240229"]},
      "PatientSex":{"vr":"CS"},
      "PatientWeight":{"Value":[70.5]},
      "StudyTime":{"Value":["093000.000001"]},
      "AccessionNumber":{"Value":[""]}}})");

  EXPECT_EQ(answer.status, 202) << answer.body;
}

TEST_F(MetadataRoutes, TakeAnyValueOfAnUnguardedAttributeThatForceNames) {
  const Answer answer =
      patch(R"({"set":{"PatientBirthDate":{"Value":["1950"]}},"force":["PatientBirthDate"]})");

  ASSERT_EQ(answer.status, 202) << answer.body;
  EXPECT_EQ(answer.body["force"], true);
}

TEST_F(MetadataRoutes, GuardedAttributesAreChangedWhenTheyAreNamed) {
  const Answer answer = patch(R"({"set":{"StudyID":{"Value":["7"]}},"force":["00200010"]})");

  ASSERT_EQ(answer.status, 202) << answer.body;
  EXPECT_EQ(answer.body["force"], true);
  EXPECT_EQ(patch(kName).body["force"], false);
}

TEST_F(MetadataRoutes, MergeOrdersOneUpdateForEachStudyUnderAParent) {
  receive(2, 8);  // the fixture's patients have the number of their study
  const std::string body = R"({"surviving":{"PatientID":"P8","PatientName":"Synthetic^Kept"},)"
                           R"("merged":{"PatientID":"P7"}})";

  const Answer answer = call("POST", "/v1/patients/merge", body);

  ASSERT_EQ(answer.status, 202) << answer.body;
  EXPECT_EQ(answer.body["kind"], "merge");
  EXPECT_EQ(answer.body["state"], "pending");
  ASSERT_EQ(answer.body["updates"].size(), 1U);
  EXPECT_EQ(answer.body["updates"][0]["study_instance_uid"], study_);
  EXPECT_EQ(answer.body["updates"][0]["parent"], answer.body["id"]);
  const Answer again = call("POST", "/v1/patients/merge", body);
  EXPECT_EQ(again.status, 404);
  EXPECT_EQ(again.code(), "metadata.not_found");
  for (const char* bad :
       {"{}", R"({"surviving":{"PatientID":"A"}})",
        R"({"surviving":{"PatientID":"A"},"merged":{"PatientID":"A"}})",
        R"({"surviving":{"PatientID":"A"},"merged":{"PatientID":"B","PatientName":"C"}})",
        R"({"surviving":{"PatientID":""},"merged":{"PatientID":"B"}})"}) {
    EXPECT_EQ(call("POST", "/v1/patients/merge", bad).status, 400) << bad;
  }
}

TEST_F(MetadataRoutes, TheMirrorTakesTheServicesOwnForm) {
  import();
  const std::string path = std::string("/v1/image-sets/") + kSet + "/metadata";
  const std::string document = R"({"SchemaVersion":1.1,"Patient":{"DICOM":{"PatientSex":"O"}}})";
  const std::string body =
      R"({"DICOMUpdates":{"updatableAttributes":")" + to_base64(as_bytes(document)) + R"("}})";

  const Answer answer = call("POST", path + "?latestVersion=1", body);

  ASSERT_EQ(answer.status, 202) << answer.body;
  EXPECT_EQ(answer.body["kind"], "exact");
  EXPECT_EQ(answer.body["image_set_id"], kSet);
  EXPECT_EQ(answer.body["attributes"][0]["key"], "PatientSex");
  EXPECT_EQ(call("POST", path, body).status, 400);
  EXPECT_EQ(call("POST", path + "?latestVersion=1", "{}").status, 400);
  EXPECT_EQ(call("POST", path + "?latestVersion=1&includeStudyImageSets=true",
                 R"({"revertToVersionId":"1"})")
                .status,
            400);
  EXPECT_EQ(
      call("POST", "/v1/image-sets/" + std::string(32, '1') + "/metadata?latestVersion=1", body)
          .status,
      404);
}

TEST_F(MetadataRoutes, WhatIsNotThereIsNotRevertedOrRetried) {
  const std::string id = patch(kName).body["id"];

  EXPECT_EQ(call("POST", "/v1/metadata-updates/" + id + "/revert").status, 409);
  EXPECT_EQ(call("POST", "/v1/metadata-updates/" + id + "/retry").status, 409);
  for (const std::string& unknown : {std::string(32, '0'), std::string("nonsense")}) {
    EXPECT_EQ(call("GET", "/v1/metadata-updates/" + unknown).status, 404);
    EXPECT_EQ(call("POST", "/v1/metadata-updates/" + unknown + "/revert").status, 404);
    EXPECT_EQ(call("POST", "/v1/metadata-updates/" + unknown + "/retry").status, 404);
  }
}

}  // namespace
}  // namespace isthmus::api
