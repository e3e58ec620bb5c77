// HealthImaging's JSON: requests that a stranger sends and answers, manifests and lines that the
// service gives. What is read, written and read again is the same.
#include "wire/healthimaging.h"

#include <nlohmann/json.hpp>

#include "fuzz/fuzz.h"

namespace isthmus::fuzz {
namespace {

namespace hi = wire::healthimaging;

template <typename Parse>
void check_round_trip(std::string_view text, Parse parse) {
  const auto read = parse(text);
  if (!read.ok()) return;
  const std::string printed = hi::print(*read);
  const auto again = parse(printed);
  check(again.ok(), "what was read and written is read again");
  check_equal(hi::print(*again), printed, "and is the same");
}

template <typename Response>
void check_response(std::string_view body) {
  check_round_trip(body, [](std::string_view text) { return hi::parse_response<Response>(text); });
}

void check_answers(std::string_view text) {
  check_response<hi::CreateDatastoreResponse>(text);
  check_response<hi::GetDatastoreResponse>(text);
  check_response<hi::ListDatastoresResponse>(text);
  check_response<hi::DeleteDatastoreResponse>(text);
  check_response<hi::StartDICOMImportJobResponse>(text);
  check_response<hi::GetDICOMImportJobResponse>(text);
  check_response<hi::ListDICOMImportJobsResponse>(text);
  check_response<hi::GetImageSetResponse>(text);
  check_response<hi::ListImageSetVersionsResponse>(text);
  check_response<hi::SearchImageSetsResponse>(text);
  check_round_trip(text, hi::parse_manifest);
  check_round_trip(text, hi::parse_success_line);
  check_round_trip(text, hi::parse_failure_line);
  check_round_trip(text, hi::parse_warning_line);
}

// What a server accepts, a client can say, and the server then accepts it again.
template <typename Request>
void check_request(std::string_view body) {
  static const hi::PathParameters kPath{{"datastoreId", "0123456789abcdef0123456789abcdef"},
                                        {"imageSetId", "0123456789abcdef0123456789abcdef"}};
  const auto read = hi::parse_request<Request>({.path = kPath, .query = {}, .body = body});
  if (!read.ok()) return;
  const hi::Call call = hi::to_call(*read);
  check(!call.method.empty(), "a call has a method");
}

void run_json(std::string_view text) {
  // What is no JSON at all is refused by all of them in one way, slowly: one is enough.
  if (!nlohmann::json::accept(text)) {
    check(!hi::parse_manifest(text).ok(), "what is no JSON is refused");
    return;
  }
  check_answers(text);
  check_request<hi::CreateDatastoreRequest>(text);
  check_request<hi::StartDICOMImportJobRequest>(text);
  check_request<hi::SearchImageSetsRequest>(text);
  check_request<hi::ListImageSetVersionsRequest>(text);
  (void)hi::parse_import_configuration(text);
}

void run_uri(std::string_view text) {
  if (const auto uri = hi::parse_s3_uri(text)) {
    const auto again = hi::parse_s3_uri(hi::print(*uri));
    check(again && again->bucket == uri->bucket && again->key == uri->key, "a URI is read back");
  }
}

void run(ByteSpan input) {
  run_json(as_text(input));
  run_uri(as_text(input));
}

std::vector<std::string> seeds() {
  hi::JobOutputManifest manifest;
  manifest.job_id = "job";
  manifest.image_sets = {{"set", 1, true, 7}};
  return {
      hi::print(manifest),
      hi::print(hi::SuccessLine{"in/1", "set", 1, true}),
      hi::print(hi::FailureLine{"in/2", "ValidationException", "DICOM attribute is missing"}),
      hi::print(hi::WarningLine{{"in/3", "set", 1, false}, {{45, "Type", "a warning"}}}),
      R"({"datastoreName":"store","clientToken":"token-1","tags":{"a":"b"}})",
      R"({"jobName":"job","dataAccessRoleArn":"arn:aws:iam::123456789012:role/import",)"
      R"("clientToken":"token-1","datastoreId":"0123456789abcdef0123456789abcdef",)"
      R"("inputS3Uri":"s3://bucket/in/","outputS3Uri":"s3://bucket/out/"})",
      R"({"filters":[{"values":[{"DICOMPatientId":"SYNTHETIC-1"}],"operator":"EQUAL"}],)"
      R"("sort":{"sortOrder":"ASC","sortField":"updatedAt"}})",
      R"({"datastoreId":"0123456789abcdef0123456789abcdef","jobId":"1","jobStatus":"COMPLETED",)"
      R"("submittedAt":1.5,"jobProperties":{}})",
      R"({"jobSummaries":[{"jobId":"1","jobName":"a","jobStatus":"FAILED"}],"nextToken":"x"})",
      "s3://bucket-name/some/prefix/",
  };
}

}  // namespace

Harness healthimaging_harness() {
  return {"healthimaging", run, 8 * KiB, seeds};
}

}  // namespace isthmus::fuzz
