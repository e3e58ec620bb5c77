#include "wire/healthimaging.h"

#include "support/matchers.h"

namespace isthmus::wire::healthimaging {
namespace {

using test::FailsWith;
using test::IsOk;
using testing::Eq;
using testing::HasSubstr;
using testing::Not;
using testing::Optional;

const std::string kId = "00112233445566778899aabbccddeeff";
const std::string kRole = "arn:aws:iam::123456789012:role/import";

// What a server's router hands on for a call: the last path segments are the parameters in order.
template <typename Request>
Result<Request> received(const Call& call, const PathParameters& path) {
  const std::size_t question = call.target.find('?');
  const std::string query = question == std::string::npos ? "" : call.target.substr(question + 1);
  return parse_request<Request>({path, query, call.body});
}

StartDICOMImportJobRequest full_start() {
  StartDICOMImportJobRequest request;
  request.datastore_id = kId;
  request.job_name = "isthmus-1";
  request.data_access_role_arn = kRole;
  request.client_token = "token-1";
  request.input_s3_uri = "s3://bucket/b1/in/";
  request.output_s3_uri = "s3://bucket/b1/out/";
  request.input_owner_account_id = "210987654321";
  request.import_configuration =
      ImportConfiguration{{{"1.2", "1.2.3", "m.json"}, {"1.4", {}, "n"}}};
  return request;
}

// --- requests
// -------------------------------------------------------------------------------------
TEST(HealthImagingRequests, PrintEveryMemberOfAStart) {
  const Call call = to_call(full_start());

  EXPECT_EQ(call.method, "POST");
  EXPECT_EQ(call.target, "/startDICOMImportJob/datastore/" + kId);
  EXPECT_EQ(
      call.body,
      R"({"jobName":"isthmus-1","dataAccessRoleArn":"arn:aws:iam::123456789012:role/import",)"
      R"("clientToken":"token-1","inputS3Uri":"s3://bucket/b1/in/",)"
      R"("outputS3Uri":"s3://bucket/b1/out/","inputOwnerAccountId":"210987654321",)"
      R"("importConfiguration":{"dicomJsonMetadataImportConfiguration":)"
      R"({"dicomMetadataMappings":[{"studyInstanceUID":"1.2","seriesInstanceUID":"1.2.3",)"
      R"("metadataFilePath":"m.json"},{"studyInstanceUID":"1.4","metadataFilePath":"n"}]}}})");
}

TEST(HealthImagingRequests, LeaveOutWhatIsNotSet) {
  StartDICOMImportJobRequest request = full_start();
  request.job_name.reset();
  request.input_owner_account_id.reset();
  request.import_configuration.reset();

  const std::string body = to_call(request).body;

  EXPECT_THAT(body, Not(HasSubstr("jobName")));
  EXPECT_THAT(body, Not(HasSubstr("inputOwnerAccountId")));
  EXPECT_THAT(body, Not(HasSubstr("importConfiguration")));
}

TEST(HealthImagingRequests, AreReadAsTheyWerePrinted) {
  ASSERT_OK_AND_ASSIGN(
      const StartDICOMImportJobRequest read,
      received<StartDICOMImportJobRequest>(to_call(full_start()), {{"datastoreId", kId}}));

  EXPECT_EQ(to_call(read).body, to_call(full_start()).body);
  EXPECT_EQ(read.datastore_id, kId);
}

TEST(HealthImagingRequests, CarryQueriesEncoded) {
  const ListDICOMImportJobsRequest request{kId, "COMPLETED", "a+b/c=&d", 50};

  const Call call = to_call(request);

  EXPECT_EQ(call.target, "/listDICOMImportJobs/datastore/" + kId +
                             "?jobStatus=COMPLETED&nextToken=a%2Bb%2Fc%3D%26d&maxResults=50");
  ASSERT_OK_AND_ASSIGN(const auto read,
                       received<ListDICOMImportJobsRequest>(call, {{"datastoreId", kId}}));
  EXPECT_THAT(read.job_status, Optional(Eq("COMPLETED")));
  EXPECT_THAT(read.next_token, Optional(Eq("a+b/c=&d")));
  EXPECT_THAT(read.max_results, Optional(50));
}

TEST(HealthImagingRequests, CallAVersionVersionInTheQuery) {
  const Call call = to_call(GetImageSetRequest{kId, kId, "7"});

  EXPECT_EQ(call.target, "/datastore/" + kId + "/imageSet/" + kId + "/getImageSet?version=7");
  ASSERT_OK_AND_ASSIGN(const auto read, received<GetImageSetRequest>(
                                            call, {{"datastoreId", kId}, {"imageSetId", kId}}));
  EXPECT_THAT(read.version_id, Optional(Eq("7")));
}

TEST(HealthImagingRequests, CarrySearchCriteriaAsTheBodyItself) {
  SearchImageSetsRequest request;
  request.datastore_id = kId;
  SearchValue from, to, patient;
  from.study_date_and_time = SearchValue::StudyDateAndTime{"20260101", "0930"};
  to.study_date_and_time = SearchValue::StudyDateAndTime{"20260131", {}};
  patient.patient_id = "P-17";
  request.filters = {{{from, to}, "BETWEEN"}, {{patient}, "EQUAL"}};
  request.sort = SearchSort{"DESC", "updatedAt"};
  request.max_results = 10;

  const Call call = to_call(request);

  EXPECT_EQ(call.target, "/datastore/" + kId + "/searchImageSets?maxResults=10");
  EXPECT_EQ(call.body,
            R"({"filters":[{"values":[{"DICOMStudyDateAndTime":{"DICOMStudyDate":"20260101",)"
            R"("DICOMStudyTime":"0930"}},{"DICOMStudyDateAndTime":{"DICOMStudyDate":"20260131"}}],)"
            R"("operator":"BETWEEN"},{"values":[{"DICOMPatientId":"P-17"}],"operator":"EQUAL"}],)"
            R"("sort":{"sortOrder":"DESC","sortField":"updatedAt"}})");
  ASSERT_OK_AND_ASSIGN(const auto read,
                       received<SearchImageSetsRequest>(call, {{"datastoreId", kId}}));
  EXPECT_EQ(to_call(read).body, call.body);
}

TEST(HealthImagingRequests, MaySearchForEverything) {
  for (const char* body : {"", "{}"}) {
    const PathParameters path{{"datastoreId", kId}};
    EXPECT_THAT(parse_request<SearchImageSetsRequest>({path, "", body}), IsOk()) << body;
  }
}

TEST(HealthImagingRequests, NeverRepeatAValueInAMessage) {
  const PathParameters path{{"datastoreId", kId}};
  const std::string body =
      R"({"filters":[{"values":[{"DICOMStudyInstanceUID":"SECRET^NAME"}],"operator":"EQUAL"}]})";

  const auto result = parse_request<SearchImageSetsRequest>({path, "", body});

  ASSERT_THAT(result, FailsWith("ValidationException"));
  EXPECT_THAT(result.error().message, HasSubstr("DICOMStudyInstanceUID"));
  EXPECT_THAT(result.error().message, Not(HasSubstr("SECRET")));
}

TEST(HealthImagingRequests, RefuseBodiesThatAreNoObjects) {
  const PathParameters path{{"datastoreId", kId}};
  for (const char* body : {"", "[]", "null", "{", "\xFF", "{\"clientToken\":\"a\"} x"}) {
    EXPECT_THAT(parse_request<CreateDatastoreRequest>({path, "", body}),
                FailsWith("ValidationException"))
        << body;
  }
}

TEST(HealthImagingRequests, SurviveDeepNesting) {
  const PathParameters path{{"datastoreId", kId}};
  const std::string body =
      "{\"tags\":" + std::string(1'000'000, '[') + std::string(1'000'000, ']') + "}";
  EXPECT_THAT(parse_request<CreateDatastoreRequest>({path, "", body}),
              FailsWith("ValidationException"));
}

TEST(HealthImagingRequests, ReadAConfigurationOnItsOwn) {
  const std::string text = print(*full_start().import_configuration);
  ASSERT_OK_AND_ASSIGN(const ImportConfiguration read, parse_import_configuration(text));
  EXPECT_EQ(print(read), text);
  EXPECT_THAT(parse_import_configuration("{}"), FailsWith("ValidationException"));
  EXPECT_THAT(parse_import_configuration("no"), FailsWith("ValidationException"));
}

// --- answers
// --------------------------------------------------------------------------------------
TEST(HealthImagingAnswers, ReadTimesAsTheServicePrintsThem) {
  // The service prints floating point numbers with an exponent (contracts, "Encodings").
  ASSERT_OK_AND_ASSIGN(const auto answer, parse_response<StartDICOMImportJobResponse>(
                                              "{\"datastoreId\":\"" + kId +
                                              "\",\"jobId\":\"j\",\"jobStatus\":"
                                              "\"SUBMITTED\",\"submittedAt\":1.703018663321E9}"));
  EXPECT_THAT(answer.submitted_at, Optional(Eq(*from_rfc3339("2023-12-19T20:44:23.321Z"))));
}

TEST(HealthImagingAnswers, PrintTimesAsNumbers) {
  const std::string text = print(StartDICOMImportJobResponse{
      kId, "j", "SUBMITTED", *from_rfc3339("2026-01-31T09:30:00.125Z")});
  EXPECT_EQ(text,
            "{\"datastoreId\":\"" + kId +
                "\",\"jobId\":\"j\",\"jobStatus\":\"SUBMITTED\",\"submittedAt\":1769851800.125}");
}

TEST(HealthImagingAnswers, TakeNullAndUnknownMembersAsAbsent) {
  ASSERT_OK_AND_ASSIGN(
      const auto answer,
      parse_response<GetDICOMImportJobResponse>(
          R"({"jobProperties":{"jobId":"j","jobName":"n","jobStatus":"FAILED","datastoreId":"d",)"
          R"("message":null,"endedAt":null,"importConfiguration":null,"new":[1]},"more":1})"));
  EXPECT_EQ(answer.properties.job_status, "FAILED");
  EXPECT_FALSE(answer.properties.message);
  EXPECT_FALSE(answer.properties.ended_at);
  EXPECT_FALSE(answer.properties.import_configuration);
}

TEST(HealthImagingAnswers, RefuseWhatLacksTheEssentials) {
  for (const char* body :
       {"", "[]", "<html>", "{}", R"({"jobProperties":null})", R"({"jobProperties":{"jobId":"j"}})",
        R"({"jobProperties":{"jobId":7,"jobStatus":"FAILED"}})"}) {
    EXPECT_THAT(parse_response<GetDICOMImportJobResponse>(body),
                FailsWith("healthimaging.malformed", Fate::permanent))
        << body;
  }
}

TEST(HealthImagingAnswers, ListEveryJob) {
  const ListDICOMImportJobsResponse list{{{"j1", "n1", "COMPLETED", kId, {}, {}, {}, {}},
                                          {"j2", "n2", "FAILED", kId, kRole, {}, {}, "m"}},
                                         "next"};
  ASSERT_OK_AND_ASSIGN(const auto read, parse_response<ListDICOMImportJobsResponse>(print(list)));
  ASSERT_EQ(read.summaries.size(), 2U);
  EXPECT_EQ(read.summaries[1].job_id, "j2");
  EXPECT_EQ(read.summaries[1].job_name, "n2");
  EXPECT_THAT(read.summaries[1].message, Optional(Eq("m")));
  EXPECT_THAT(read.next_token, Optional(Eq("next")));
}

TEST(HealthImagingAnswers, SpellTheWorkflowStatusOfAVersionWithACapital) {
  ImageSetProperties version{kId, "1", "ACTIVE", "CREATED", {}, {}, {}, {}, {}, {}};
  const std::string text = print(ListImageSetVersionsResponse{{version}, {}});
  EXPECT_THAT(text, HasSubstr("\"ImageSetWorkflowStatus\":\"CREATED\""));
  ASSERT_OK_AND_ASSIGN(const auto read, parse_response<ListImageSetVersionsResponse>(text));
  EXPECT_THAT(read.properties.at(0).image_set_workflow_status, Optional(Eq("CREATED")));

  const std::string set = print(
      GetImageSetResponse{kId, kId, "1", "ACTIVE", "CREATED", {}, {}, {}, {}, {}, {}, {}, {}, {}});
  EXPECT_THAT(set, HasSubstr("\"imageSetWorkflowStatus\":\"CREATED\""));
}

TEST(HealthImagingAnswers, KeepSearchSummaries) {
  ImageSetsMetadataSummary summary;
  summary.image_set_id = kId;
  summary.version = 3;
  summary.tags.patient_name = "A^B";
  summary.tags.series_number = -1;
  summary.is_primary = false;
  ASSERT_OK_AND_ASSIGN(const auto read,
                       parse_response<SearchImageSetsResponse>(print(SearchImageSetsResponse{
                           {summary}, SearchSort{"ASC", "createdAt"}, "n"})));
  ASSERT_EQ(read.summaries.size(), 1U);
  EXPECT_THAT(read.summaries[0].version, Optional(3));
  EXPECT_THAT(read.summaries[0].tags.patient_name, Optional(Eq("A^B")));
  EXPECT_THAT(read.summaries[0].tags.series_number, Optional(-1));
  EXPECT_THAT(read.summaries[0].is_primary, Optional(false));
  ASSERT_TRUE(read.sort);
  EXPECT_EQ(read.sort->field, "createdAt");
  EXPECT_EQ(read.sort->order, "ASC");
}

TEST(HealthImagingAnswers, SurviveTextThatIsNotUtf8) {
  ImageSetsMetadataSummary summary;
  summary.image_set_id = kId;
  summary.tags.patient_name = "M\xFCller";  // Latin-1 octets out of an old data set
  EXPECT_THAT(print(SearchImageSetsResponse{{summary}, {}, {}}), HasSubstr("M\xEF\xBF\xBDller"));
}

// --- errors
// ---------------------------------------------------------------------------------------
TEST(HealthImagingErrors, AreReadFromHeaderOrBody) {
  struct Case {
    const char* header;
    const char* body;
    const char* type;
    const char* message;
  };
  for (const Case& one : {
           Case{"ValidationException", R"({"message":"m"})", "ValidationException", "m"},
           Case{"ValidationException:http://internal/x", "", "ValidationException", ""},
           Case{"", R"({"__type":"com.amazonaws.x#ConflictException","Message":"m"})",
                "ConflictException", "m"},
           Case{"", R"({"code":"ThrottlingException","message":"m"})", "ThrottlingException", "m"},
           Case{"", "<html>", "", ""},
           Case{"", R"({"__type":7,"message":null})", "", ""},
       }) {
    const ErrorBody read = read_error(one.header, one.body);
    EXPECT_EQ(read.type, one.type) << one.body;
    EXPECT_EQ(read.message, one.message) << one.body;
  }
}

TEST(HealthImagingErrors, ArePrintedAsTheyAreRead) {
  const ErrorBody read = read_error("", print(ErrorBody{"ConflictException", "Another \"one\"."}));
  EXPECT_EQ(read.type, "ConflictException");
  EXPECT_EQ(read.message, "Another \"one\".");
}

}  // namespace
}  // namespace isthmus::wire::healthimaging
