// What a client of the HealthImaging API may rely on: jobs, what they leave in the bucket, image
// sets. Files say themselves what the worker answers about them (fake_import_worker.cc).
#include "contract/datastore/gunzip.h"
#include "contract/datastore/store_kit.h"

namespace isthmus {
namespace {

using nlohmann::json;
using test::Answer;
using test::FakeInstance;
using test::StoreKit;

namespace hi = wire::healthimaging;

std::string error_type(const Answer& answer) {
  const hi::ErrorBody error = hi::read_error(answer.headers.get("x-amzn-ErrorType"), answer.body);
  return std::to_string(answer.status) + " " + error.type;
}

FakeInstance instance(const std::string& sop, const std::string& series = "1.2.3.1") {
  FakeInstance made;
  made.sop = sop;
  made.series = series;
  return made;
}

class Imports : public ::testing::Test {
 protected:
  Imports() : data_store(kit.make_data_store()) {}

  Answer image_set(const std::string& id, std::optional<std::string> version = std::nullopt) {
    return kit.imaging(hi::to_call(hi::GetImageSetRequest{data_store, id, version}));
  }
  json metadata(const std::string& id, std::optional<std::string> version = std::nullopt) {
    const Answer answer =
        kit.imaging(hi::to_call(hi::GetImageSetMetadataRequest{data_store, id, version}));
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(answer.headers.get("Content-Encoding"), "gzip");
    EXPECT_EQ(answer.headers.get("Content-Type"), "application/json");
    return json::parse(test::gunzip(answer.body), nullptr, false);
  }
  json search(const std::string& criteria = "{}", const std::string& query = "") {
    const Answer answer =
        kit.imaging("POST", "/datastore/" + data_store + "/searchImageSets" + query, criteria);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.json();
  }
  std::string search_error(const std::string& criteria, const std::string& query = "") {
    return error_type(
        kit.imaging("POST", "/datastore/" + data_store + "/searchImageSets" + query, criteria));
  }
  static std::vector<std::string> series_of(const json& found) {
    std::vector<std::string> series;
    for (const json& summary : found["imageSetsMetadataSummaries"]) {
      series.push_back(summary["DICOMTags"]["DICOMSeriesInstanceUID"]);
    }
    return series;
  }

  StoreKit kit;
  const std::string data_store;
};

TEST_F(Imports, LeaveTheFilesOfTheContract) {
  FakeInstance warned = instance("1.2.3.1.3");
  warned.warnings = {{{"code", 45330}, {"type", "INVALID_OFFSET_TABLE"}, {"message", "odd"}}};

  const json job =
      kit.import(data_store, "batch-7",
                 {{"1.dcm", instance("1.2.3.1.1").text()},
                  {"deep/er/2.dcm", instance("1.2.3.1.2").text()},
                  {"3.dcm", warned.text()},
                  {"readme.txt",
                   R"({"ok":false,"exceptionType":"ValidationException","message":"not DICOM"})"}});

  EXPECT_EQ(job["jobStatus"], "COMPLETED");
  EXPECT_EQ(job["inputS3Uri"], "s3://in-bucket/batch-7/");
  const std::string folder =
      "s3://out-bucket/batch-7/" + data_store + "-DicomImport-" + job.value("jobId", "") + "/";
  EXPECT_EQ(job["outputS3Uri"], folder);
  const json manifest = kit.manifest(job);
  EXPECT_EQ(manifest["jobId"], job["jobId"]);
  EXPECT_EQ(manifest["datastoreId"], data_store);
  EXPECT_EQ(manifest["inputS3Uri"], "s3://in-bucket/batch-7/");
  EXPECT_EQ(manifest["outputS3Uri"], folder);
  EXPECT_EQ(manifest["successOutputS3Uri"], folder + "SUCCESS/");
  EXPECT_EQ(manifest["failureOutputS3Uri"], folder + "FAILURE/");
  EXPECT_EQ(manifest["warningsOutputS3Uri"], folder + "WARNING/");
  EXPECT_EQ(manifest["numberOfScannedFiles"], 4);
  EXPECT_EQ(manifest["numberOfImportedFiles"], 3);
  EXPECT_EQ(manifest["numberOfFilesWithCustomerError"], 1);
  EXPECT_EQ(manifest["numberOfFilesWithServerError"], 0);
  EXPECT_EQ(manifest["numberOfGeneratedImageSets"], 1);
  ASSERT_EQ(manifest["imageSetsSummary"].size(), 1U);
  const json set = manifest["imageSetsSummary"][0];
  EXPECT_EQ(set["imageSetVersion"], 1);
  EXPECT_EQ(set["isPrimary"], true);
  EXPECT_EQ(set["numberOfMatchedSOPInstances"], 3);

  const auto success = kit.lines(job, "SUCCESS/success.ndjson");
  ASSERT_EQ(success.size(), 3U);
  EXPECT_EQ(success[0]["inputFile"], "batch-7/1.dcm");
  EXPECT_EQ(success[0]["importResponse"]["imageSetId"], set["imageSetId"]);
  EXPECT_EQ(success[0]["importResponse"]["imageSetVersion"], 1);
  const auto failure = kit.lines(job, "FAILURE/failure.ndjson");
  ASSERT_EQ(failure.size(), 1U);
  EXPECT_EQ(failure[0]["inputFile"], "batch-7/readme.txt");
  EXPECT_EQ(failure[0]["exception"]["exceptionType"], "ValidationException");
  EXPECT_EQ(failure[0]["exception"]["message"], "not DICOM");
  const auto warning = kit.lines(job, "WARNING/warning.ndjson");
  ASSERT_EQ(warning.size(), 1U);
  EXPECT_EQ(warning[0]["inputFile"], "batch-7/3.dcm");
  EXPECT_EQ(warning[0]["importResponse"]["warnings"][0]["warning_reason_code"], 45330);
}

TEST_F(Imports, MakeImageSetsThatCanBeRead) {
  const json job = kit.import(
      data_store, "a", {{"1", instance("1.2.3.1.1").text()}, {"2", instance("1.2.3.1.2").text()}});
  const std::string id = kit.manifest(job)["imageSetsSummary"][0].value("imageSetId", "");

  const json properties = image_set(id).json();
  const json document = metadata(id);

  EXPECT_EQ(properties["imageSetState"], "ACTIVE");
  EXPECT_EQ(properties["versionId"], "1");
  EXPECT_EQ(properties["isPrimary"], true);
  EXPECT_EQ(properties["imageSetArn"], "arn:aws:medical-imaging:us-east-1:123456789012:datastore/" +
                                           data_store + "/imageset/" + id);
  EXPECT_EQ(document["SchemaVersion"], "1.1");
  EXPECT_EQ(document["DatastoreID"], data_store);
  EXPECT_EQ(document["ImageSetID"], id);
  EXPECT_EQ(document["Patient"]["DICOM"]["PatientID"], "P1");
  EXPECT_EQ(document["Study"]["DICOM"]["StudyInstanceUID"], "1.2.3");
  const json series = document["Study"]["Series"]["1.2.3.1"];
  EXPECT_EQ(series["DICOM"]["Modality"], "CT");
  EXPECT_EQ(series["Instances"].size(), 2U);
  const json first = series["Instances"]["1.2.3.1.1"];
  EXPECT_EQ(first["DICOM"]["SOPInstanceUID"], "1.2.3.1.1");
  EXPECT_EQ(first["DICOMVRs"]["00191001"], "LO");
  EXPECT_EQ(first["StoredTransferSyntaxUID"], "1.2.840.10008.1.2.4.202");  // frames are HTJ2K
  ASSERT_EQ(first["ImageFrames"].size(), 2U);
  EXPECT_EQ(first["ImageFrames"][0].value("ID", "").size(), 32U);
  EXPECT_NE(first["ImageFrames"][0]["ID"], first["ImageFrames"][1]["ID"]);
  EXPECT_EQ(metadata(id), document);
}

TEST_F(Imports, OfTheSameStudyMakeANewVersion) {
  kit.import(data_store, "first",
             {{"1", instance("1.2.3.1.1").text()}, {"2", instance("1.2.3.1.2").text()}});
  FakeInstance corrected = instance("1.2.3.1.1");
  corrected.patient_name = "DOE^JANET";
  const json job = kit.import(data_store, "second",
                              {{"1", corrected.text()}, {"3", instance("1.2.3.1.3").text()}});
  const json summary = kit.manifest(job)["imageSetsSummary"][0];
  const std::string id = summary.value("imageSetId", "");

  const json versions =
      kit.imaging(hi::to_call(hi::ListImageSetVersionsRequest{data_store, id, {}, {}})).json();

  EXPECT_EQ(summary["imageSetVersion"], 2);
  EXPECT_EQ(summary["numberOfMatchedSOPInstances"], 2);
  EXPECT_EQ(image_set(id).json()["versionId"], "2");
  ASSERT_EQ(versions["imageSetPropertiesList"].size(), 2U);
  EXPECT_EQ(versions["imageSetPropertiesList"][0]["versionId"], "2");
  EXPECT_EQ(versions["imageSetPropertiesList"][0]["ImageSetWorkflowStatus"], "IMPORTED");
  EXPECT_EQ(versions["imageSetPropertiesList"][1]["ImageSetWorkflowStatus"], "CREATED");
  EXPECT_EQ(metadata(id)["Study"]["Series"]["1.2.3.1"]["Instances"].size(), 3U);
  EXPECT_EQ(metadata(id, "1")["Study"]["Series"]["1.2.3.1"]["Instances"].size(), 2U);
  EXPECT_EQ(metadata(id, "1")["Patient"]["DICOM"]["PatientName"], "DOE^JANE");
  EXPECT_EQ(error_type(image_set(id, "3")), "404 ResourceNotFoundException");
}

TEST_F(Imports, PutWhatConflictsIntoANonPrimarySet) {
  kit.import(data_store, "first", {{"1", instance("1.2.3.1.1").text()}});
  FakeInstance other_patient = instance("1.2.3.1.1");
  other_patient.patient_id = "P2";

  const json job = kit.import(data_store, "second", {{"1", other_patient.text()}});
  const json again = kit.import(data_store, "third", {{"1", other_patient.text()}});

  const json summary = kit.manifest(job)["imageSetsSummary"][0];
  EXPECT_EQ(summary["isPrimary"], false);
  EXPECT_EQ(summary["imageSetVersion"], 1);
  EXPECT_EQ(kit.lines(job, "SUCCESS/success.ndjson")[0]["importResponse"]["isPrimary"], false);
  EXPECT_EQ(kit.manifest(again)["imageSetsSummary"][0]["imageSetId"], summary["imageSetId"]);
  EXPECT_EQ(kit.manifest(again)["imageSetsSummary"][0]["imageSetVersion"], 2);
  EXPECT_EQ(search()["imageSetsMetadataSummaries"].size(), 2U);
}

TEST_F(Imports, FailTheOneFileThatHarmsItsWorker) {
  datastore::DataStoreOptions options;
#if defined(__SANITIZE_THREAD__)
  // 192 MiB of babble go through instrumented code, and have to be too long before it is too late.
  options.file_timeout = Milliseconds(15'000);
#else
  options.file_timeout = Milliseconds(5'000);
#endif
  StoreKit quick(options);
  const std::string store = quick.make_data_store();

  const json job = quick.import(store, "mixed",
                                {{"1", instance("1.2.3.1.1").text()},
                                 {"2-crash", "crash"},
                                 {"3-leave", "leave"},
                                 {"4-hang", "hang"},
                                 {"5-nonsense", "nonsense"},
                                 {"6", instance("1.2.3.1.2").text()},
                                 {"7-killed", "killed"},
                                 {"8-endless", "babble"}});

  EXPECT_EQ(job["jobStatus"], "COMPLETED");
  const auto failure = quick.lines(job, "FAILURE/failure.ndjson");
  ASSERT_EQ(failure.size(), 6U);
  EXPECT_EQ(failure[0]["exception"]["exceptionType"], "ValidationException");
  EXPECT_NE(failure[0]["exception"].value("message", "").find("signal 11"), std::string::npos);
  EXPECT_NE(failure[1]["exception"].value("message", "").find("exit code 3"), std::string::npos);
  EXPECT_EQ(failure[2]["exception"]["exceptionType"], "InternalServerException");
  EXPECT_EQ(failure[3]["exception"]["exceptionType"], "InternalServerException");
  // Not the file's doing, as far as anybody can tell: it may be tried again.
  EXPECT_EQ(failure[4]["exception"]["exceptionType"], "InternalServerException");
  EXPECT_EQ(failure[5]["exception"]["exceptionType"], "ValidationException");
  EXPECT_EQ(quick.lines(job, "SUCCESS/success.ndjson").size(), 2U);
  const json manifest = quick.manifest(job);
  EXPECT_EQ(manifest["numberOfFilesWithCustomerError"], 3);
  EXPECT_EQ(manifest["numberOfFilesWithServerError"], 3);
}

TEST_F(Imports, TakeTheSameTokenForTheSameJobOnly) {
  const std::string job = kit.start_import(data_store, "a", "token-1");

  EXPECT_EQ(kit.start_import(data_store, "a", "token-1"), job);
  hi::StartDICOMImportJobRequest other;
  other.datastore_id = data_store;
  other.data_access_role_arn = "arn:aws:iam::123456789012:role/import";
  other.client_token = "token-1";
  other.input_s3_uri = "s3://in-bucket/elsewhere/";
  other.output_s3_uri = "s3://out-bucket/a";
  EXPECT_EQ(error_type(kit.imaging(hi::to_call(other))), "409 ConflictException");
  other.client_token = "token-2";
  EXPECT_EQ(kit.imaging(hi::to_call(other)).status, 200);
}

TEST_F(Imports, FailWhenThereIsNothingToDo) {
  const json empty = kit.import(data_store, "nothing", {});

  EXPECT_EQ(empty["jobStatus"], "FAILED");
  EXPECT_NE(empty.value("message", "").find("no files"), std::string::npos);
}

TEST_F(Imports, FailWhenTheWorkerCannotBeStarted) {
  datastore::DataStoreOptions options;
  options.worker_program = "/nonexistent/worker";
  StoreKit broken(options);
  const std::string store = broken.make_data_store();

  const json job = broken.import(store, "a", {{"1", instance("1.2.3.1.1").text()}});

  EXPECT_EQ(job["jobStatus"], "FAILED");
  EXPECT_NE(job.value("message", "").find("cannot be started"), std::string::npos);
}

TEST_F(Imports, ReadTheObjectsAsTheyWereAtTheBeginning) {
  kit.s3("PUT", "/in-bucket/a/1", instance("1.2.3.1.1").text());
  kit.s3("PUT", "/in-bucket/ab/2", instance("1.2.3.1.2").text());
  const std::string job = kit.start_import(data_store, "a", "t");

  kit.store().start();
  const json ended = kit.wait_for(data_store, job);

  EXPECT_EQ(kit.manifest(ended)["numberOfScannedFiles"], 1);
}

TEST_F(Imports, KeepWhatTheyImportedWhenTheObjectsGo) {
  const json job = kit.import(data_store, "a", {{"1", instance("1.2.3.1.1").text()}});
  const std::string id = kit.manifest(job)["imageSetsSummary"][0].value("imageSetId", "");

  EXPECT_EQ(kit.s3("DELETE", "/in-bucket/a/1").status, 204);
  kit.open();

  EXPECT_EQ(metadata(id)["ImageSetID"], id);
  bool kept = false;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(kit.env().folder() / "store" / "blobs")) {
    kept |= entry.path().filename() == sha256(instance("1.2.3.1.1").text()).hex();
  }
  EXPECT_TRUE(kept);
}

TEST_F(Imports, AreHeldToTheQuotas) {
  datastore::DataStoreOptions options;
  options.max_files_per_job = 1;
  options.max_concurrent_jobs = 1;
  options.max_datastores = 1;
  StoreKit small(options);
  const std::string store = small.make_data_store();
  hi::CreateDatastoreRequest another;
  another.client_token = "another";
  EXPECT_EQ(error_type(small.imaging(hi::to_call(another))), "402 ServiceQuotaExceededException");
  small.start_import(store, "a", "1");
  hi::StartDICOMImportJobRequest second;
  second.datastore_id = store;
  second.data_access_role_arn = "arn:aws:iam::123456789012:role/import";
  second.client_token = "2";
  second.input_s3_uri = "s3://in-bucket/a/";
  second.output_s3_uri = "s3://out-bucket/a";
  EXPECT_EQ(error_type(small.imaging(hi::to_call(second))), "402 ServiceQuotaExceededException");
  small.store().start();
  small.wait_for(store, small.start_import(store, "a", "1"));

  const json job = small.import(store, "b", {{"1", "x"}, {"2", "y"}});

  EXPECT_EQ(job["jobStatus"], "FAILED");
  EXPECT_NE(job.value("message", "").find("above the quota of 1"), std::string::npos);
}

TEST_F(Imports, AreHeldToTheQuotaOfBytes) {
  datastore::DataStoreOptions options;
  options.max_bytes_per_job = 10;
  StoreKit small(options);
  const std::string store = small.make_data_store();

  const json job = small.import(store, "a", {{"1", "123456"}, {"2", "12345"}});

  EXPECT_EQ(job["jobStatus"], "FAILED");
  EXPECT_NE(job.value("message", "").find("above the quota of 10 bytes"), std::string::npos);
}

// The rule is ours: bridge/docs/DATASTORE.md, "Imports".
TEST_F(Imports, PutTheOverridesOfTheCallerOverMetadata) {
  FakeInstance other_study = instance("1.2.4.1.1", "1.2.4.1");
  other_study.study = "1.2.4";
  kit.s3("PUT", "/in-bucket/a/1", instance("1.2.3.1.1", "1.2.3.1").text());
  kit.s3("PUT", "/in-bucket/a/2", instance("1.2.3.2.1", "1.2.3.2").text());
  kit.s3("PUT", "/in-bucket/a/3", other_study.text());
  kit.s3("PUT", "/in-bucket/a/meta/study.json",
         R"({"SchemaVersion":1.1,"Patient":{"DICOM":{"PatientID":"NEW","PatientName":"A"}}})");
  kit.s3("PUT", "/in-bucket/a/meta/series.json",
         R"({"SchemaVersion":1.1,"Patient":{"DICOM":{"PatientName":"B"}},"Study":{"Series":)"
         R"({"1.2.3.2":{"Instances":{"1.2.3.2.1":{"DICOM":{"InstanceNumber":"9"}}}}}}})");
  hi::StartDICOMImportJobRequest request;
  request.datastore_id = data_store;
  request.data_access_role_arn = "arn:aws:iam::123456789012:role/import";
  request.client_token = "1";
  request.input_s3_uri = "s3://in-bucket/a";
  request.output_s3_uri = "s3://out-bucket/a";
  request.import_configuration = hi::ImportConfiguration{
      {{"1.2.3", "1.2.3.2", "meta/series.json"}, {"1.2.3", std::nullopt, "meta/study.json"}}};
  const std::string id = kit.imaging(hi::to_call(request)).json().value("jobId", "");
  kit.store().start();

  const json job = kit.wait_for(data_store, id);

  ASSERT_EQ(job["jobStatus"], "COMPLETED") << job;
  EXPECT_EQ(kit.manifest(job)["numberOfScannedFiles"], 3) << "metadata files are not imported";
  const json found = search(R"({"filters":[{"operator":"EQUAL","values":[{"DICOMPatientId":)"
                            R"("NEW"}]}]})");
  EXPECT_EQ(found["imageSetsMetadataSummaries"].size(), 2U);
  for (const json& summary : found["imageSetsMetadataSummaries"]) {
    const json read = metadata(summary.value("imageSetId", ""));
    const bool second = read["Study"]["Series"].contains("1.2.3.2");
    EXPECT_EQ(read["Patient"]["DICOM"]["PatientName"], second ? "B" : "A");
    EXPECT_EQ(summary["DICOMTags"]["DICOMPatientName"], second ? "B" : "A");
    if (!second) continue;
    EXPECT_EQ(
        read["Study"]["Series"]["1.2.3.2"]["Instances"]["1.2.3.2.1"]["DICOM"]["InstanceNumber"],
        "9");
  }
}

TEST_F(Imports, FailForOverridesThatCannotBe) {
  kit.s3("PUT", "/in-bucket/a/1", instance("1.2.3.1.1").text());
  kit.s3("PUT", "/in-bucket/a/uids.json",
         R"({"SchemaVersion":1.1,"Study":{"DICOM":{"StudyInstanceUID":"1.9"}}})");
  kit.s3("PUT", "/in-bucket/a/nonsense.json", "nonsense");
  kit.store().start();
  for (const char* path : {"missing.json", "uids.json", "nonsense.json"}) {
    hi::StartDICOMImportJobRequest request;
    request.datastore_id = data_store;
    request.data_access_role_arn = "arn:aws:iam::123456789012:role/import";
    request.client_token = path;
    request.input_s3_uri = "s3://in-bucket/a/";
    request.output_s3_uri = "s3://out-bucket/a";
    request.import_configuration = hi::ImportConfiguration{{{"1.2.3", std::nullopt, path}}};
    const std::string id = kit.imaging(hi::to_call(request)).json().value("jobId", "");

    const json job = kit.wait_for(data_store, id);

    EXPECT_EQ(job["jobStatus"], "FAILED") << path;
    EXPECT_NE(job.value("message", "").find("importConfiguration"), std::string::npos) << job;
  }
}

TEST_F(Imports, OfSeveralJobsGoOnSideBySide) {
  datastore::DataStoreOptions options;
  options.import_workers = 2;
  options.file_timeout = Milliseconds(20'000);
  StoreKit both(options);
  const std::string store = both.make_data_store();
  both.s3("PUT", "/in-bucket/slow/1", "hang");
  both.s3("PUT", "/in-bucket/quick/1", instance("1.2.3.1.1").text());
  const std::string slow = both.start_import(store, "slow", "slow");
  const std::string quick = both.start_import(store, "quick", "quick");

  both.store().start();
  both.wait_for(store, quick);

  EXPECT_EQ(both.imaging(hi::to_call(hi::GetDICOMImportJobRequest{store, slow}))
                .json()["jobProperties"]["jobStatus"],
            "IN_PROGRESS");
}

TEST_F(Imports, AreThrottled) {
  datastore::DataStoreOptions options;
  options.start_jobs_per_second = 0.5;
  StoreKit slow(options);
  const std::string store = slow.make_data_store();
  slow.start_import(store, "a", "1");
  hi::StartDICOMImportJobRequest second;
  second.datastore_id = store;
  second.data_access_role_arn = "arn:aws:iam::123456789012:role/import";
  second.client_token = "2";
  second.input_s3_uri = "s3://in-bucket/a/";
  second.output_s3_uri = "s3://out-bucket/a";

  EXPECT_EQ(error_type(slow.imaging(hi::to_call(second))), "429 ThrottlingException");
  slow.env().clock.advance(Milliseconds(2'000));
  EXPECT_EQ(slow.imaging(hi::to_call(second)).status, 200);
}

TEST_F(Imports, AreListedPageByPage) {
  std::vector<std::string> started;
  for (const char* prefix : {"a", "b", "c"}) {
    started.push_back(kit.start_import(data_store, prefix, prefix));
    kit.env().clock.advance(Milliseconds(1));
  }
  std::vector<std::string> listed;
  std::optional<std::string> token;

  do {
    hi::ListDICOMImportJobsRequest request{data_store, "SUBMITTED", token, 2};
    const auto page =
        hi::parse_response<hi::ListDICOMImportJobsResponse>(kit.imaging(hi::to_call(request)).body);
    ASSERT_THAT(page, test::IsOk());
    for (const auto& job : page->summaries) listed.push_back(job.job_id);
    token = page->next_token;
  } while (token);

  EXPECT_EQ(listed, started);
  hi::ListDICOMImportJobsRequest none{data_store, "COMPLETED", {}, {}};
  EXPECT_TRUE(kit.imaging(hi::to_call(none)).json()["jobSummaries"].empty());
}

TEST_F(Imports, RefuseWhatTheModelForbids) {
  const std::string start = "/startDICOMImportJob/datastore/" + data_store;
  const auto with = [&](const std::string& member, const json& value) {
    json body = {{"clientToken", "t"},
                 {"dataAccessRoleArn", "arn:aws:iam::123456789012:role/import"},
                 {"inputS3Uri", "s3://in-bucket/a/"},
                 {"outputS3Uri", "s3://out-bucket/a/"}};
    body[member] = value;
    return error_type(kit.imaging("POST", start, body.dump()));
  };

  EXPECT_EQ(with("jobName", "not ok!"), "400 ValidationException");
  EXPECT_EQ(with("clientToken", std::string(65, 'a')), "400 ValidationException");
  EXPECT_EQ(with("inputS3Uri", "http://elsewhere/"), "400 ValidationException");
  EXPECT_EQ(with("dataAccessRoleArn", "arn:aws:iam::12:role/x"), "400 ValidationException");
  EXPECT_EQ(with("inputOwnerAccountId", "1"), "400 ValidationException");
  EXPECT_EQ(with("outputS3Uri", nullptr), "400 ValidationException");
  EXPECT_EQ(error_type(kit.imaging("GET", "/datastore/UPPER")), "400 ValidationException");
  EXPECT_EQ(error_type(kit.imaging("GET", "/datastore/" + std::string(32, '0'))),
            "404 ResourceNotFoundException");
  EXPECT_EQ(error_type(kit.imaging("GET", "/datastore?maxResults=51")), "400 ValidationException");
  EXPECT_EQ(kit.imaging("GET", "/datastore/a/b/c").status, 404);
}

TEST_F(Imports, RefuseWhoIsNotWhoTheySay) {
  http::Request request = kit.request("GET", "/datastore", "");
  ASSERT_THAT(wire::sigv4::sign(request, {"NOBODY", "x", ""}, "us-east-1", "medical-imaging",
                                kit.env().clock.wall_now(), wire::sigv4::kEmptyPayloadHash),
              test::IsOk());

  EXPECT_EQ(error_type(kit.raw(std::move(request))), "403 AccessDeniedException");
  EXPECT_EQ(error_type(kit.raw(kit.request("GET", "/datastore", ""))), "403 AccessDeniedException");
}

TEST_F(Imports, FindImageSetsByEveryAttribute) {
  FakeInstance one = instance("1.2.3.1.1", "1.2.3.1");
  FakeInstance two = instance("1.2.4.1.1", "1.2.4.1");
  two.study = "1.2.4";
  two.patient_id = "P2";
  two.accession = "A2";
  two.study_date = "20240201";
  two.study_time = "";
  kit.import(data_store, "one", {{"1", one.text()}});
  const WallTime between = kit.env().clock.wall_now() + Milliseconds(500);
  kit.env().clock.advance(Milliseconds(1'000));
  kit.import(data_store, "two", {{"1", two.text()}});
  const auto equal = [&](const std::string& member, const json& value) {
    return series_of(search(
        json{{"filters", {{{"operator", "EQUAL"}, {"values", {{{member, value}}}}}}}}.dump()));
  };
  const auto range = [&](const std::string& member, const json& lower, const json& upper) {
    return series_of(search(
        json{{"filters",
              {{{"operator", "BETWEEN"}, {"values", {{{member, lower}}, {{member, upper}}}}}}}}
            .dump()));
  };
  const auto at = [](WallTime time) {
    return static_cast<double>(time.time_since_epoch().count()) / 1000.0;
  };
  using ::testing::ElementsAre;
  using ::testing::IsEmpty;

  EXPECT_THAT(equal("DICOMPatientId", "P1"), ElementsAre("1.2.3.1"));
  EXPECT_THAT(equal("DICOMAccessionNumber", "A2"), ElementsAre("1.2.4.1"));
  EXPECT_THAT(equal("DICOMStudyInstanceUID", "1.2.4"), ElementsAre("1.2.4.1"));
  EXPECT_THAT(equal("DICOMSeriesInstanceUID", "1.2.3.1"), ElementsAre("1.2.3.1"));
  EXPECT_THAT(equal("DICOMStudyId", "none"), IsEmpty());
  EXPECT_THAT(equal("isPrimary", false), IsEmpty());
  EXPECT_THAT(equal("isPrimary", true), ElementsAre("1.2.4.1", "1.2.3.1"));
  EXPECT_THAT(equal("DICOMStudyDateAndTime", {{"DICOMStudyDate", "20240201"}}),
              ElementsAre("1.2.4.1"));
  EXPECT_THAT(range("DICOMStudyDateAndTime", {{"DICOMStudyDate", "20240131"}},
                    {{"DICOMStudyDate", "20240131"}, {"DICOMStudyTime", "093000.000"}}),
              ElementsAre("1.2.3.1"));
  EXPECT_THAT(range("DICOMStudyDateAndTime", {{"DICOMStudyDate", "19990101"}},
                    {{"DICOMStudyDate", "20240131"}, {"DICOMStudyTime", "092959"}}),
              IsEmpty());
  EXPECT_THAT(range("createdAt", at(between), at(between + Milliseconds(10'000))),
              ElementsAre("1.2.4.1"));
  EXPECT_THAT(range("updatedAt", 0, at(between)), ElementsAre("1.2.3.1"));
  EXPECT_THAT(
      series_of(search(R"({"sort":{"sortField":"DICOMStudyDateAndTime","sortOrder":"ASC"}})")),
      ElementsAre("1.2.3.1", "1.2.4.1"));
  EXPECT_THAT(series_of(search(R"({"filters":[
      {"operator":"EQUAL","values":[{"DICOMPatientId":"P1"}]},
      {"operator":"EQUAL","values":[{"DICOMStudyInstanceUID":"1.2.4"}]}]})")),
              IsEmpty());
  EXPECT_THAT(series_of(search(R"({"filters":[
      {"operator":"EQUAL","values":[{"DICOMPatientId":"P1"}]},
      {"operator":"EQUAL","values":[{"DICOMPatientId":"P2"}]}]})")),
              IsEmpty());
}

TEST_F(Imports, RefuseSearchesThatMeanNothing) {
  EXPECT_EQ(search_error(R"({"filters":[{"operator":"EQUAL",
      "values":[{"DICOMPatientId":"a"},{"DICOMPatientId":"b"}]}]})"),
            "400 ValidationException");
  EXPECT_EQ(search_error(R"({"filters":[{"operator":"BETWEEN",
      "values":[{"DICOMPatientId":"a"},{"DICOMPatientId":"b"}]}]})"),
            "400 ValidationException");
  EXPECT_EQ(search_error(R"({"filters":[{"operator":"BETWEEN",
      "values":[{"createdAt":5},{"createdAt":4}]}]})"),
            "400 ValidationException");
  EXPECT_EQ(search_error(R"({"filters":[{"operator":"LIKE","values":[{"isPrimary":true}]}]})"),
            "400 ValidationException");
  EXPECT_EQ(search_error("{}", "?nextToken=bm9uc2Vuc2U%3D"), "400 ValidationException");
  EXPECT_EQ(search_error("{}", "?maxResults=0"), "400 ValidationException");
}

TEST_F(Imports, PageThroughASearch) {
  std::map<std::string, std::string> files;
  for (int i = 1; i <= 5; ++i) {
    const std::string series = "1.2.3." + std::to_string(i);
    files[std::to_string(i)] = instance(series + ".1", series).text();
  }
  kit.import(data_store, "many", files);
  for (const char* field : {"createdAt", "updatedAt", "DICOMStudyDateAndTime"}) {
    const std::string criteria =
        json{{"sort", {{"sortField", field}, {"sortOrder", "ASC"}}}}.dump();
    std::vector<std::string> seen;
    std::string query = "?maxResults=2";

    for (int page = 0; page < 5; ++page) {
      const json found = search(criteria, query);
      for (const std::string& series : series_of(found)) seen.push_back(series);
      if (!found.contains("nextToken")) break;
      query =
          "?maxResults=2&nextToken=" + http::percent_encode(found.value("nextToken", ""), false);
    }

    EXPECT_THAT(seen, ::testing::UnorderedElementsAre("1.2.3.1", "1.2.3.2", "1.2.3.3", "1.2.3.4",
                                                      "1.2.3.5"))
        << field;
  }
  const json summary = search()["imageSetsMetadataSummaries"][0];
  EXPECT_EQ(summary["DICOMTags"]["DICOMNumberOfStudyRelatedSeries"], 5);
  EXPECT_EQ(summary["DICOMTags"]["DICOMNumberOfStudyRelatedInstances"], 5);
  EXPECT_EQ(summary["DICOMTags"]["DICOMSeriesNumber"], 2);
}

TEST_F(Imports, DataStoresAreListedAndDeletedWhenEmpty) {
  const std::string other = kit.make_data_store("other");
  const auto summaries = [&](const std::string& query) {
    return kit.imaging("GET", "/datastore" + query).json()["datastoreSummaries"];
  };
  kit.import(data_store, "a", {{"1", instance("1.2.3.1.1").text()}});

  EXPECT_EQ(summaries("").size(), 2U);
  EXPECT_EQ(kit.imaging("DELETE", "/datastore/" + other).json()["datastoreStatus"], "DELETED");
  EXPECT_EQ(error_type(kit.imaging("DELETE", "/datastore/" + data_store)), "409 ConflictException");
  EXPECT_EQ(summaries("?datastoreStatus=ACTIVE").size(), 1U);
  const json properties =
      kit.imaging("GET", "/datastore/" + data_store).json()["datastoreProperties"];
  EXPECT_EQ(properties["datastoreName"], "store");
  EXPECT_EQ(properties["datastoreStatus"], "ACTIVE");
  EXPECT_EQ(properties["losslessStorageFormat"], "HTJ2K");
}

}  // namespace
}  // namespace isthmus
