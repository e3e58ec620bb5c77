#include "imports/healthimaging.h"
#include "support/matchers.h"
#include "support/memory_object_store.h"
#include "support/scripted_transport.h"
#include "support/test_env.h"
#include "wire/healthimaging.h"
#include "wire/sigv4.h"

namespace isthmus {
namespace {

namespace wire_hi = wire::healthimaging;
using test::FailsWith;
using test::IsOk;
using test::ScriptedTransport;
using testing::HasSubstr;
using testing::Optional;

const std::string kStore = "00112233445566778899aabbccddeeff";
const std::string kSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

class HealthImaging : public testing::Test {
 protected:
  HealthImaging() {
    options_.endpoint = "http://127.0.0.1:8181/";
    options_.datastore_id = kStore;
    options_.bucket = "bucket";
    options_.data_access_role_arn = "arn:aws:iam::123456789012:role/import";
    intent_.client_token = "token-1";
    intent_.job_name = "isthmus-1";
    intent_.input_prefix = "pre/b1/in/";
    intent_.output_prefix = "pre/b1/out/j1/";
    remake();
  }
  void remake() {
    service_ = make_healthimaging_import(env_, transport_, *credentials_, bucket_, options_);
  }
  // What a server reads of the last request.
  wire_hi::StartDICOMImportJobRequest received_start() {
    const wire_hi::PathParameters path{{"datastoreId", kStore}};
    const auto read = wire_hi::parse_request<wire_hi::StartDICOMImportJobRequest>(
        {path, "", transport_.last().body});
    EXPECT_THAT(read, IsOk());
    return read.ok() ? *read : wire_hi::StartDICOMImportJobRequest{};
  }
  static std::string started(std::string id) {
    return wire_hi::print(
        wire_hi::StartDICOMImportJobResponse{kStore, std::move(id), "SUBMITTED", {}});
  }
  static std::string page(std::vector<std::pair<std::string, std::string>> jobs,
                          std::optional<std::string> next) {
    wire_hi::ListDICOMImportJobsResponse list;
    for (auto& [id, name] : jobs)
      list.summaries.push_back({id, name, "FAILED", kStore, {}, {}, {}, {}});
    list.next_token = std::move(next);
    return wire_hi::print(list);
  }
  static std::string job(std::string state, std::string output_uri,
                         std::optional<std::string> message = std::nullopt) {
    wire_hi::DICOMImportJobProperties properties;
    properties.job_id = "j1";
    properties.job_status = std::move(state);
    properties.output_s3_uri = std::move(output_uri);
    properties.message = std::move(message);
    return wire_hi::print(wire_hi::GetDICOMImportJobResponse{properties});
  }

  test::TestEnv env_;
  ScriptedTransport transport_;
  test::MemoryObjectStore bucket_;
  std::unique_ptr<CredentialsSource> credentials_ =
      make_static_credentials({"AKIDEXAMPLE", kSecret, "", std::nullopt});
  HealthImagingOptions options_;
  ImportIntent intent_;
  std::unique_ptr<ImportService> service_;
};

// --- start
// ----------------------------------------------------------------------------------------
TEST_F(HealthImaging, StartsWithTheIntentsTokenNameAndPrefixes) {
  transport_.answers(200, started("j1"));

  ASSERT_OK_AND_ASSIGN(const RemoteJob remote, service_->start(intent_));

  EXPECT_EQ(remote.id, "j1");
  EXPECT_EQ(transport_.last().method, "POST");
  EXPECT_EQ(transport_.last().url, "http://127.0.0.1:8181/startDICOMImportJob/datastore/" + kStore);
  const auto request = received_start();
  EXPECT_THAT(request.job_name, Optional(std::string("isthmus-1")));
  EXPECT_EQ(request.client_token, "token-1");
  EXPECT_EQ(request.data_access_role_arn, options_.data_access_role_arn);
  EXPECT_EQ(request.input_s3_uri, "s3://bucket/pre/b1/in/");
  EXPECT_EQ(request.output_s3_uri, "s3://bucket/pre/b1/out/j1/");
  EXPECT_FALSE(request.input_owner_account_id);
  EXPECT_FALSE(request.import_configuration);
}

TEST_F(HealthImaging, StartsWithOwnerAndConfigurationWhenConfigured) {
  options_.input_owner_account_id = "210987654321";
  options_.import_configuration =
      R"({"dicomJsonMetadataImportConfiguration":{"dicomMetadataMappings":[)"
      R"({"studyInstanceUID":"1.2","metadataFilePath":"m.json"}]}})";
  remake();
  transport_.answers(200, started("j1"));

  ASSERT_THAT(service_->start(intent_), IsOk());

  const auto request = received_start();
  EXPECT_THAT(request.input_owner_account_id, Optional(std::string("210987654321")));
  ASSERT_TRUE(request.import_configuration);
  EXPECT_EQ(request.import_configuration->dicom_metadata_mappings.at(0).metadata_file_path,
            "m.json");
}

TEST_F(HealthImaging, StartsNothingWithABrokenConfiguration) {
  options_.import_configuration = "{}";
  remake();
  EXPECT_THAT(service_->start(intent_), FailsWith("import.invalid", Fate::permanent));
  EXPECT_TRUE(transport_.seen().empty());
}

TEST_F(HealthImaging, SignsTheBodyForItsOwnService) {
  transport_.answers(200, started("j1"));
  ASSERT_THAT(service_->start(intent_), IsOk());

  const auto& sent = transport_.last();
  ASSERT_OK_AND_ASSIGN(const auto claim,
                       wire::sigv4::parse_authorization(sent.headers.get("Authorization")));
  EXPECT_EQ(claim.scope.service, "medical-imaging");
  EXPECT_FALSE(sent.headers.contains("x-amz-content-sha256"));
  EXPECT_THAT(
      wire::sigv4::verify({"POST", "/startDICOMImportJob/datastore/" + kStore, "", sent.headers},
                          claim, kSecret, "us-east-1", "medical-imaging", env_.clock.wall_now(),
                          Milliseconds(0), sha256(sent.body).hex()),
      IsOk());
}

TEST_F(HealthImaging, RepeatsALostStartWithTheSameToken) {
  transport_.fails(transient_error("http.closed", "Gone.")).answers(200, started("j1"));

  ASSERT_THAT(service_->start(intent_), IsOk());

  ASSERT_EQ(transport_.seen().size(), 2U);
  EXPECT_EQ(transport_.seen()[0].body, transport_.seen()[1].body);
}

TEST_F(HealthImaging, DoesNotTakeAProxysPageForAnAnswer) {
  transport_.answers(200, "<html>Please log in.</html>");
  EXPECT_THAT(service_->start(intent_), FailsWith("import.unavailable", Fate::transient));
}

struct ErrorCase {
  int status;
  const char* exception;
  const char* code;
  Fate fate;
};
void PrintTo(const ErrorCase& one, std::ostream* out) {
  *out << one.status << one.exception;
}

class HealthImagingErrors : public HealthImaging, public testing::WithParamInterface<ErrorCase> {};

TEST_P(HealthImagingErrors, HaveACodeAndAFate) {
  const ErrorCase& one = GetParam();
  options_.retry.attempts = 1;
  remake();
  transport_.answers(one.status, R"({"message":"why"})",
                     {{"x-amzn-ErrorType", std::string(one.exception) + ":http://x"}});

  const auto result = service_->start(intent_);

  ASSERT_THAT(result, FailsWith(one.code, one.fate));
  EXPECT_THAT(result.error().message, HasSubstr(one.exception));
  EXPECT_THAT(result.error().message, HasSubstr("why"));
}

INSTANTIATE_TEST_SUITE_P(
    Documented, HealthImagingErrors,
    testing::Values(
        ErrorCase{429, "ThrottlingException", "import.throttled", Fate::transient},
        ErrorCase{402, "ServiceQuotaExceededException", "import.quota", Fate::transient},
        ErrorCase{500, "InternalServerException", "import.unavailable", Fate::transient},
        ErrorCase{503, "", "import.unavailable", Fate::transient},
        ErrorCase{403, "AccessDeniedException", "import.denied", Fate::permanent},
        ErrorCase{403, "InvalidSignatureException", "import.denied", Fate::permanent},
        ErrorCase{403, "SomethingNew", "import.denied", Fate::permanent},
        ErrorCase{403, "ExpiredTokenException", "import.unavailable", Fate::transient},
        ErrorCase{400, "ValidationException", "import.invalid", Fate::permanent},
        ErrorCase{404, "ResourceNotFoundException", "import.not_found", Fate::permanent},
        ErrorCase{409, "ConflictException", "import.conflict", Fate::permanent}));

TEST_F(HealthImaging, PassesOnHowLongToWait) {
  options_.retry.attempts = 1;
  remake();
  transport_.answers(429, "", {{"x-amzn-ErrorType", "ThrottlingException"}, {"Retry-After", "3"}});

  const auto result = service_->start(intent_);

  ASSERT_THAT(result, FailsWith("import.throttled"));
  EXPECT_THAT(result.error().retry_after, Optional(Milliseconds(3000)));
}

// --- find
// -----------------------------------------------------------------------------------------
TEST_F(HealthImaging, FindsAJobByItsNameOnAnyPageInAnyState) {
  transport_.answers(200, page({{"j8", "other"}}, "next+1"));
  transport_.answers(200, page({{"j9", "isthmus-11"}, {"j1", "isthmus-1"}}, std::nullopt));

  ASSERT_OK_AND_ASSIGN(const auto found, service_->find(intent_));

  ASSERT_TRUE(found);
  EXPECT_EQ(found->id, "j1");
  EXPECT_EQ(transport_.seen()[0].url,
            "http://127.0.0.1:8181/listDICOMImportJobs/datastore/" + kStore + "?maxResults=50");
  EXPECT_THAT(transport_.seen()[1].url, HasSubstr("nextToken=next%2B1"));
}

TEST_F(HealthImaging, FindsNothingThatWasNotStarted) {
  transport_.answers(200, page({{"j8", "other"}}, std::nullopt));
  ASSERT_OK_AND_ASSIGN(const auto found, service_->find(intent_));
  EXPECT_FALSE(found);
}

TEST_F(HealthImaging, DoesNotGoRoundInCircles) {
  transport_.answers(200, page({}, "t")).answers(200, page({}, "t"));
  EXPECT_THAT(service_->find(intent_), FailsWith("import.unavailable", Fate::transient));
}

// --- status
// ---------------------------------------------------------------------------------------
TEST_F(HealthImaging, TellsTheStateOfAJob) {
  transport_.answers(200, job("SUBMITTED", "s3://bucket/o/"));
  transport_.answers(200, job("IN_PROGRESS", "s3://bucket/o/"));
  transport_.answers(200, job("COMPLETED", "s3://bucket/o/ds-DicomImport-j1/"));
  transport_.answers(200, job("FAILED", "s3://bucket/o", "No access"));
  const RemoteJob remote{"j1", ""};

  EXPECT_EQ(service_->status(remote)->state, RemoteState::running);
  EXPECT_EQ(service_->status(remote)->state, RemoteState::running);
  ASSERT_OK_AND_ASSIGN(const RemoteStatus done, service_->status(remote));
  EXPECT_EQ(done.state, RemoteState::succeeded);
  EXPECT_EQ(done.output_prefix, "o/ds-DicomImport-j1/");
  ASSERT_OK_AND_ASSIGN(const RemoteStatus failed, service_->status(remote));
  EXPECT_EQ(failed.state, RemoteState::failed);
  EXPECT_EQ(failed.message, "No access");
  EXPECT_EQ(failed.output_prefix, "o/");
  EXPECT_EQ(transport_.seen()[0].url,
            "http://127.0.0.1:8181/getDICOMImportJob/datastore/" + kStore + "/job/j1");
}

TEST_F(HealthImaging, CannotReadOutputInAnotherBucket) {
  transport_.answers(200, job("COMPLETED", "s3://another/o/"));
  EXPECT_THAT(service_->status({"j1", ""}), FailsWith("import.output_unreadable", Fate::permanent));
}

TEST_F(HealthImaging, SaysWhenAJobIsUnknown) {
  transport_.answers(404, "", {{"x-amzn-ErrorType", "ResourceNotFoundException"}});
  EXPECT_THAT(service_->status({"j1", ""}), FailsWith("import.not_found", Fate::permanent));
}

TEST_F(HealthImaging, AsksForTheFolderWhenItIsNotKnown) {
  transport_.answers(200, job("COMPLETED", "s3://bucket/o/"));
  wire_hi::JobOutputManifest manifest;
  manifest.job_id = "j1";
  bucket_.plant({"o/job-output-manifest.json"}, wire_hi::print(manifest));

  EXPECT_THAT(service_->outcomes({"j1", ""}, {}), IsOk());
}

}  // namespace
}  // namespace isthmus
