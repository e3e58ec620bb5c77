// The JSON, path and query forms of AWS HealthImaging (medical-imaging, API version 2023-07-19),
// both directions, without I/O, with every constraint of the service model; and the files that an
// import job leaves in its bucket. Any thread.
//
// Requests are checked on reading: the error's code is "ValidationException" (permanent) and its
// message names the member and the constraint, never the value (criteria hold patient data).
// Answers are read tolerantly: unknown members are ignored, null counts as absent; what is required
// and missing is "healthimaging.malformed" (permanent). Timestamps are JSON numbers of seconds.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/env.h"

namespace isthmus::wire::healthimaging {

// The SigV4 service name, on every host.
inline constexpr std::string_view kSigningName = "medical-imaging";

// --- paths: templates for a router, and the calls a client makes
// ----------------------------------
namespace paths {
inline constexpr std::string_view kDatastores = "/datastore";  // POST creates, GET lists
inline constexpr std::string_view kDatastore = "/datastore/{datastoreId}";  // GET, DELETE
inline constexpr std::string_view kStartImport = "/startDICOMImportJob/datastore/{datastoreId}";
inline constexpr std::string_view kGetImport =
    "/getDICOMImportJob/datastore/{datastoreId}/job/{jobId}";
inline constexpr std::string_view kListImports = "/listDICOMImportJobs/datastore/{datastoreId}";
inline constexpr std::string_view kSearch = "/datastore/{datastoreId}/searchImageSets";
inline constexpr std::string_view kGetImageSet =
    "/datastore/{datastoreId}/imageSet/{imageSetId}/getImageSet";
inline constexpr std::string_view kGetMetadata =
    "/datastore/{datastoreId}/imageSet/{imageSetId}/getImageSetMetadata";
inline constexpr std::string_view kGetFrame =
    "/datastore/{datastoreId}/imageSet/{imageSetId}/getImageFrame";
inline constexpr std::string_view kListVersions =
    "/datastore/{datastoreId}/imageSet/{imageSetId}/listImageSetVersions";
inline constexpr std::string_view kUpdateMetadata =
    "/datastore/{datastoreId}/imageSet/{imageSetId}/updateImageSetMetadata";
inline constexpr std::string_view kCopyImageSet =
    "/datastore/{datastoreId}/imageSet/{sourceImageSetId}/copyImageSet";
inline constexpr std::string_view kDeleteImageSet =
    "/datastore/{datastoreId}/imageSet/{imageSetId}/deleteImageSet";
// The ARN is percent-encoded whole, one segment: POST sets, GET lists, DELETE takes tags away.
inline constexpr std::string_view kTags = "/tags/{resourceArn}";
}  // namespace paths

// What a client sends: target is path and query, encoded.
struct Call {
  std::string method;
  std::string target;
  std::string body;
};

using PathParameters = std::map<std::string, std::string, std::less<>>;

// What a server got: decoded path parameters by their template names, raw query, body.
struct Incoming {
  const PathParameters& path;
  std::string_view query;
  std::string_view body;
};

// --- errors
// ---------------------------------------------------------------------------------------
struct ErrorBody {
  std::string type;  // "ValidationException"
  std::string message;
};
// The body {"message":…,"__type":…}; the server also sends header x-amzn-ErrorType: <type>.
std::string print(const ErrorBody& error);
inline constexpr std::string_view kErrorTypeHeader = "x-amzn-ErrorType";
inline constexpr std::string_view kRequestIdHeader = "x-amzn-RequestId";
// From the header (bare, or followed by ':' and more) or the body (__type or code, bare or
// "namespace#Name"; message or Message). Never fails: what cannot be read leaves `type` empty.
ErrorBody read_error(std::string_view error_type_header, std::string_view body);
// ValidationException 400, ServiceQuotaExceededException 402, … ; 500 for what is not in the model.
int status_of(std::string_view error_type);

// --- shapes with constraints
// ---------------------------------------------------------------------- Every constrained string
// of the operations here; names are the model's.
enum class Shape {
  Arn,
  AwsAccountId,
  ClientToken,
  CopiableAttributes,
  DICOMAccessionNumber,
  DICOMPatientBirthDate,
  DICOMPatientId,
  DICOMPatientName,
  DICOMPatientSex,
  DICOMSeriesBodyPart,
  DICOMSeriesInstanceUID,
  DICOMSeriesModality,
  DICOMStudyDate,
  DICOMStudyDescription,
  DICOMStudyId,
  DICOMStudyInstanceUID,
  DICOMStudyTime,
  DatastoreId,
  DatastoreName,
  DatastoreStatus,
  ImageFrameId,
  ImageSetExternalVersionId,
  ImageSetId,
  ImageSetState,
  ImageSetWorkflowStatus,
  JobId,
  JobName,
  JobStatus,
  KmsKeyArn,
  LambdaArn,
  LosslessStorageFormat,
  Message,
  MetadataFilePath,
  NextToken,
  Operator,
  RoleArn,
  S3Uri,
  SortField,
  SortOrder,
  StorageTier,
  TagKey,
  TagValue,
};
// The model's name of a shape, and all of them.
std::string_view to_string(Shape shape);
std::span<const Shape> all_shapes();
// Lengths (in characters), pattern (over the whole value) and enumerators of the model. "member"
// goes into the message: "ValidationException".
Result<void> check(Shape shape, std::string_view member, std::string_view value);

// --- data stores
// ----------------------------------------------------------------------------------
struct CreateDatastoreRequest {
  std::optional<std::string> datastore_name;
  std::string client_token;
  std::map<std::string, std::string> tags;
  std::optional<std::string> kms_key_arn;
  std::optional<std::string> lambda_authorizer_arn;
  std::optional<std::string> lossless_storage_format;  // "HTJ2K", "JPEG_2000_LOSSLESS"
};
struct CreateDatastoreResponse {
  std::string datastore_id;
  std::string datastore_status;
};
struct GetDatastoreRequest {
  std::string datastore_id;
};
struct DatastoreProperties {
  std::string datastore_id;
  std::string datastore_name;
  std::string datastore_status;  // CREATING, CREATE_FAILED, ACTIVE, DELETING, DELETED
  std::optional<std::string> kms_key_arn;
  std::optional<std::string> lambda_authorizer_arn;
  std::optional<std::string> lossless_storage_format;
  std::optional<std::string> datastore_arn;
  std::optional<WallTime> created_at;
  std::optional<WallTime> updated_at;
};
struct GetDatastoreResponse {
  DatastoreProperties properties;
};
struct ListDatastoresRequest {
  std::optional<std::string> datastore_status;
  std::optional<std::string> next_token;
  std::optional<int> max_results;  // 1..50
};
struct DatastoreSummary {
  std::string datastore_id;
  std::string datastore_name;
  std::string datastore_status;
  std::optional<std::string> datastore_arn;
  std::optional<WallTime> created_at;
  std::optional<WallTime> updated_at;
};
struct ListDatastoresResponse {
  std::vector<DatastoreSummary> summaries;
  std::optional<std::string> next_token;
};
struct DeleteDatastoreRequest {
  std::string datastore_id;
};
struct DeleteDatastoreResponse {
  std::string datastore_id;
  std::string datastore_status;
};

// --- import jobs
// ----------------------------------------------------------------------------------
struct MetadataMapping {
  std::string study_instance_uid;
  std::optional<std::string> series_instance_uid;  // absent: the whole study
  std::string metadata_file_path;                  // relative to inputS3Uri
};
// A union with one member today (dicomJsonMetadataImportConfiguration).
struct ImportConfiguration {
  std::vector<MetadataMapping> dicom_metadata_mappings;  // 1..1000
};
// The JSON of the union alone, as it stands in a configuration file: "ValidationException".
Result<ImportConfiguration> parse_import_configuration(std::string_view json);
std::string print(const ImportConfiguration& configuration);

struct StartDICOMImportJobRequest {
  std::string datastore_id;
  std::optional<std::string> job_name;
  std::string data_access_role_arn;
  std::string client_token;
  std::string input_s3_uri;
  std::string output_s3_uri;
  std::optional<std::string> input_owner_account_id;
  std::optional<ImportConfiguration> import_configuration;
};
struct StartDICOMImportJobResponse {
  std::string datastore_id;
  std::string job_id;
  std::string job_status;                // SUBMITTED, IN_PROGRESS, COMPLETED, FAILED
  std::optional<WallTime> submitted_at;  // required by the model; a reader does without
};
struct GetDICOMImportJobRequest {
  std::string datastore_id;
  std::string job_id;
};
struct DICOMImportJobProperties {
  std::string job_id;
  std::string job_name;
  std::string job_status;
  std::string datastore_id;
  std::string data_access_role_arn;
  std::optional<WallTime> ended_at;
  std::optional<WallTime> submitted_at;
  std::string input_s3_uri;
  std::string output_s3_uri;  // the job's own folder, with a slash at its end
  std::optional<std::string> message;
  std::optional<ImportConfiguration> import_configuration;
};
struct GetDICOMImportJobResponse {
  DICOMImportJobProperties properties;
};
struct ListDICOMImportJobsRequest {
  std::string datastore_id;
  std::optional<std::string> job_status;
  std::optional<std::string> next_token;
  std::optional<int> max_results;  // 1..50
};
struct DICOMImportJobSummary {
  std::string job_id;
  std::string job_name;
  std::string job_status;
  std::string datastore_id;
  std::optional<std::string> data_access_role_arn;
  std::optional<WallTime> ended_at;
  std::optional<WallTime> submitted_at;
  std::optional<std::string> message;
};
struct ListDICOMImportJobsResponse {
  std::vector<DICOMImportJobSummary> summaries;
  std::optional<std::string> next_token;
};

// --- image sets
// -----------------------------------------------------------------------------------
struct GetImageSetRequest {
  std::string datastore_id;
  std::string image_set_id;
  std::optional<std::string> version_id;  // travels as query parameter "version"
};
struct GetImageSetResponse {
  std::string datastore_id;
  std::string image_set_id;
  std::string version_id;       // digits
  std::string image_set_state;  // ACTIVE, LOCKED, DELETED
  std::optional<std::string> image_set_workflow_status;
  std::optional<WallTime> created_at;
  std::optional<WallTime> updated_at;
  std::optional<WallTime> deleted_at;
  std::optional<std::string> message;
  std::optional<std::string> image_set_arn;
  std::optional<bool> overrides_forced;
  std::optional<bool> is_primary;
  std::optional<WallTime> last_accessed_at;
  std::optional<std::string> storage_tier;
};
struct ListImageSetVersionsRequest {
  std::string datastore_id;
  std::string image_set_id;
  std::optional<std::string> next_token;
  std::optional<int> max_results;  // 1..50
};
struct ImageSetProperties {
  std::string image_set_id;
  std::string version_id;
  std::string image_set_state;
  std::optional<std::string> image_set_workflow_status;  // here "ImageSetWorkflowStatus", capital I
  std::optional<WallTime> created_at;
  std::optional<WallTime> updated_at;
  std::optional<WallTime> deleted_at;
  std::optional<std::string> message;
  std::optional<bool> overrides_forced;
  std::optional<bool> is_primary;
};
struct ListImageSetVersionsResponse {
  std::vector<ImageSetProperties> properties;
  std::optional<std::string> next_token;
};
// Its answer has no JSON: a gzip body with Content-Type and Content-Encoding.
struct GetImageSetMetadataRequest {
  std::string datastore_id;
  std::string image_set_id;
  std::optional<std::string> version_id;
};

// Its answer is the frame, with the Content-Type of its form.
struct GetImageFrameRequest {
  std::string datastore_id;
  std::string image_set_id;
  std::string image_frame_id;  // the body is imageFrameInformation itself
};

// One value of a filter: a union, exactly one member is set.
struct SearchValue {
  std::optional<std::string> patient_id;
  std::optional<std::string> accession_number;
  std::optional<std::string> study_id;
  std::optional<std::string> study_instance_uid;
  std::optional<std::string> series_instance_uid;
  std::optional<WallTime> created_at;
  std::optional<WallTime> updated_at;
  struct StudyDateAndTime {
    std::string study_date;
    std::optional<std::string> study_time;
  };
  std::optional<StudyDateAndTime> study_date_and_time;
  std::optional<bool> is_primary;
};
struct SearchFilter {
  std::vector<SearchValue> values;  // 1..2
  std::string filter_operator;      // EQUAL, BETWEEN
};
struct SearchSort {
  std::string order;  // ASC, DESC
  std::string field;  // updatedAt, createdAt, DICOMStudyDateAndTime
};
struct SearchImageSetsRequest {
  std::string datastore_id;
  std::optional<std::vector<SearchFilter>> filters;  // 1..2; the body is the criteria itself
  std::optional<SearchSort> sort;
  std::optional<int> max_results;  // 1..50
  std::optional<std::string> next_token;
};
struct DICOMTags {
  std::optional<std::string> patient_id;
  std::optional<std::string> patient_name;
  std::optional<std::string> patient_birth_date;
  std::optional<std::string> patient_sex;
  std::optional<std::string> study_instance_uid;
  std::optional<std::string> study_id;
  std::optional<std::string> study_description;
  std::optional<std::int64_t> number_of_study_related_series;
  std::optional<std::int64_t> number_of_study_related_instances;
  std::optional<std::string> accession_number;
  std::optional<std::string> series_instance_uid;
  std::optional<std::string> series_modality;
  std::optional<std::string> series_body_part;
  std::optional<std::int64_t> series_number;
  std::optional<std::string> study_date;
  std::optional<std::string> study_time;
};
struct ImageSetsMetadataSummary {
  std::string image_set_id;
  std::optional<std::int64_t> version;  // an integer here
  std::optional<WallTime> created_at;
  std::optional<WallTime> updated_at;
  std::optional<WallTime> last_accessed_at;
  std::optional<std::string> storage_tier;
  DICOMTags tags;
  std::optional<bool> is_primary;
};
struct SearchImageSetsResponse {
  std::vector<ImageSetsMetadataSummary> summaries;
  std::optional<SearchSort> sort;
  std::optional<std::string> next_token;
};

// --- changing image sets
// ----------------------------------------------------------------------------------
// A union: updates, or the version to go back to; exactly one.
struct DicomUpdates {
  // Texts of update documents (section 5 of the contract), decoded; 1 to 30,000 bytes each.
  std::optional<std::string> removable_attributes;
  std::optional<std::string> updatable_attributes;
};
struct UpdateImageSetMetadataRequest {
  std::string datastore_id;
  std::string image_set_id;
  std::string latest_version_id;  // travels as query parameter "latestVersion"
  std::optional<bool> force;
  std::optional<bool> include_study_image_sets;
  std::optional<DicomUpdates> updates;
  std::optional<std::string> revert_to_version_id;
};
struct UpdateImageSetMetadataResponse {
  std::string datastore_id;
  std::string image_set_id;
  std::string latest_version_id;
  std::string image_set_state;
  std::optional<std::string> image_set_workflow_status;
  std::optional<WallTime> created_at;
  std::optional<WallTime> updated_at;
  std::optional<std::string> message;
};
struct CopyDestination {
  std::string image_set_id;
  std::string latest_version_id;
};
struct CopyImageSetRequest {
  std::string datastore_id;
  std::string source_image_set_id;
  std::string source_latest_version_id;
  std::optional<std::string> copiable_attributes;  // JSON text, 1 to 260,000 characters
  std::optional<CopyDestination> destination;      // absent: a new image set
  std::optional<bool> force;
  std::optional<bool> promote_to_primary;
};
// Of the source and of the destination.
struct CopiedImageSetProperties {
  std::string image_set_id;
  std::string latest_version_id;
  std::optional<std::string> image_set_state;
  std::optional<std::string> image_set_workflow_status;
  std::optional<WallTime> created_at;
  std::optional<WallTime> updated_at;
  std::optional<std::string> image_set_arn;
};
struct CopyImageSetResponse {
  std::string datastore_id;
  CopiedImageSetProperties source;
  CopiedImageSetProperties destination;
};
struct DeleteImageSetRequest {
  std::string datastore_id;
  std::string image_set_id;
};
struct DeleteImageSetResponse {
  std::string datastore_id;
  std::string image_set_id;
  std::string image_set_state;
  std::string image_set_workflow_status;
};

// --- tags
// ----------------------------------------------------------------------------------
struct TagResourceRequest {
  std::string resource_arn;
  std::map<std::string, std::string> tags;
};
struct TagResourceResponse {};
struct UntagResourceRequest {
  std::string resource_arn;
  std::vector<std::string> tag_keys;  // at most 200; repeated in the query
};
struct UntagResourceResponse {};
struct ListTagsForResourceRequest {
  std::string resource_arn;
};
struct ListTagsForResourceResponse {
  std::map<std::string, std::string> tags;
};

// --- requests: the server reads, the client writes
// ------------------------------------------------ For each of the …Request types above:
// parse_request<GetDatastoreRequest>(incoming).
template <typename Request>
Result<Request> parse_request(const Incoming& incoming);
template <>
Result<CreateDatastoreRequest> parse_request(const Incoming& incoming);
template <>
Result<GetDatastoreRequest> parse_request(const Incoming& incoming);
template <>
Result<ListDatastoresRequest> parse_request(const Incoming& incoming);
template <>
Result<DeleteDatastoreRequest> parse_request(const Incoming& incoming);
template <>
Result<StartDICOMImportJobRequest> parse_request(const Incoming& incoming);
template <>
Result<GetDICOMImportJobRequest> parse_request(const Incoming& incoming);
template <>
Result<ListDICOMImportJobsRequest> parse_request(const Incoming& incoming);
template <>
Result<GetImageSetRequest> parse_request(const Incoming& incoming);
template <>
Result<ListImageSetVersionsRequest> parse_request(const Incoming& incoming);
template <>
Result<GetImageSetMetadataRequest> parse_request(const Incoming& incoming);
template <>
Result<GetImageFrameRequest> parse_request(const Incoming& incoming);
template <>
Result<SearchImageSetsRequest> parse_request(const Incoming& incoming);
template <>
Result<UpdateImageSetMetadataRequest> parse_request(const Incoming& incoming);
template <>
Result<CopyImageSetRequest> parse_request(const Incoming& incoming);
template <>
Result<DeleteImageSetRequest> parse_request(const Incoming& incoming);
template <>
Result<TagResourceRequest> parse_request(const Incoming& incoming);
template <>
Result<UntagResourceRequest> parse_request(const Incoming& incoming);
template <>
Result<ListTagsForResourceRequest> parse_request(const Incoming& incoming);

Call to_call(const CreateDatastoreRequest& request);
Call to_call(const GetDatastoreRequest& request);
Call to_call(const ListDatastoresRequest& request);
Call to_call(const DeleteDatastoreRequest& request);
Call to_call(const StartDICOMImportJobRequest& request);
Call to_call(const GetDICOMImportJobRequest& request);
Call to_call(const ListDICOMImportJobsRequest& request);
Call to_call(const GetImageSetRequest& request);
Call to_call(const ListImageSetVersionsRequest& request);
Call to_call(const GetImageSetMetadataRequest& request);
Call to_call(const GetImageFrameRequest& request);
Call to_call(const SearchImageSetsRequest& request);
Call to_call(const UpdateImageSetMetadataRequest& request);
Call to_call(const CopyImageSetRequest& request);
Call to_call(const DeleteImageSetRequest& request);
Call to_call(const TagResourceRequest& request);
Call to_call(const UntagResourceRequest& request);
Call to_call(const ListTagsForResourceRequest& request);

// --- answers: the server writes, the client reads
// ------------------------------------------------- For each of the …Response types above:
// parse_response<GetDatastoreResponse>(body).
template <typename Response>
Result<Response> parse_response(std::string_view body);
template <>
Result<CreateDatastoreResponse> parse_response(std::string_view body);
template <>
Result<GetDatastoreResponse> parse_response(std::string_view body);
template <>
Result<ListDatastoresResponse> parse_response(std::string_view body);
template <>
Result<DeleteDatastoreResponse> parse_response(std::string_view body);
template <>
Result<StartDICOMImportJobResponse> parse_response(std::string_view body);
template <>
Result<GetDICOMImportJobResponse> parse_response(std::string_view body);
template <>
Result<ListDICOMImportJobsResponse> parse_response(std::string_view body);
template <>
Result<GetImageSetResponse> parse_response(std::string_view body);
template <>
Result<ListImageSetVersionsResponse> parse_response(std::string_view body);
template <>
Result<SearchImageSetsResponse> parse_response(std::string_view body);
template <>
Result<UpdateImageSetMetadataResponse> parse_response(std::string_view body);
template <>
Result<CopyImageSetResponse> parse_response(std::string_view body);
template <>
Result<DeleteImageSetResponse> parse_response(std::string_view body);
template <>
Result<TagResourceResponse> parse_response(std::string_view body);
template <>
Result<UntagResourceResponse> parse_response(std::string_view body);
template <>
Result<ListTagsForResourceResponse> parse_response(std::string_view body);

std::string print(const CreateDatastoreResponse& response);
std::string print(const GetDatastoreResponse& response);
std::string print(const ListDatastoresResponse& response);
std::string print(const DeleteDatastoreResponse& response);
std::string print(const StartDICOMImportJobResponse& response);
std::string print(const GetDICOMImportJobResponse& response);
std::string print(const ListDICOMImportJobsResponse& response);
std::string print(const GetImageSetResponse& response);
std::string print(const ListImageSetVersionsResponse& response);
std::string print(const SearchImageSetsResponse& response);
std::string print(const UpdateImageSetMetadataResponse& response);
std::string print(const CopyImageSetResponse& response);
std::string print(const DeleteImageSetResponse& response);
std::string print(const TagResourceResponse& response);
std::string print(const UntagResourceResponse& response);
std::string print(const ListTagsForResourceResponse& response);

// --- what a job leaves in its bucket (contracts/healthimaging, section 3)
// --------------------------
struct S3Uri {
  std::string bucket;
  std::string key;  // without leading slash; empty for the bucket alone
};
// "s3://bucket/some/prefix/"; nothing when it is not the model's form.
std::optional<S3Uri> parse_s3_uri(std::string_view uri);
std::string print(const S3Uri& uri);

// "<outputS3Uri>/<datastoreId>-DicomImport-<jobId>/"; a missing slash in between is supplied.
std::string job_folder(std::string_view output_s3_uri, std::string_view datastore_id,
                       std::string_view job_id);
inline constexpr std::string_view kManifestName = "job-output-manifest.json";
inline constexpr std::string_view kSuccessFolder = "SUCCESS/";
inline constexpr std::string_view kFailureFolder = "FAILURE/";
inline constexpr std::string_view kWarningFolder = "WARNING/";
inline constexpr std::string_view kSuccessName = "success.ndjson";
inline constexpr std::string_view kFailureName = "failure.ndjson";
inline constexpr std::string_view kWarningName = "warning.ndjson";

struct ManifestImageSet {
  std::string image_set_id;
  std::optional<std::int64_t> image_set_version;
  std::optional<bool> is_primary;  // since May 2025
  std::optional<std::int64_t> number_of_matched_sop_instances;
};
struct JobOutputManifest {
  std::string job_id;
  std::string datastore_id;
  std::string input_s3_uri;
  std::string output_s3_uri;
  std::string success_output_s3_uri;
  std::string failure_output_s3_uri;
  std::optional<std::string> warnings_output_s3_uri;  // since December 2025
  std::int64_t number_of_scanned_files = 0;
  std::int64_t number_of_imported_files = 0;
  std::int64_t number_of_files_with_customer_error = 0;
  std::int64_t number_of_files_with_server_error = 0;
  std::int64_t number_of_generated_image_sets = 0;
  std::vector<ManifestImageSet> image_sets;
};
std::string print(const JobOutputManifest& manifest);
Result<JobOutputManifest> parse_manifest(std::string_view json);

// Lines of the ndjson files, without their line feed. `input_file` is the key in the input bucket.
struct SuccessLine {
  std::string input_file;
  std::string image_set_id;
  std::optional<std::int64_t> image_set_version;
  std::optional<bool> is_primary;
};
struct FailureLine {
  std::string input_file;
  std::string exception_type;
  std::string message;
};
struct ImportWarning {
  std::int64_t reason_code = 0;
  std::string type;
  std::string message;
};
struct WarningLine {
  SuccessLine imported;
  std::vector<ImportWarning> warnings;
};
std::string print(const SuccessLine& line);
std::string print(const FailureLine& line);
std::string print(const WarningLine& line);
Result<SuccessLine> parse_success_line(std::string_view json);
Result<FailureLine> parse_failure_line(std::string_view json);
Result<WarningLine> parse_warning_line(std::string_view json);

}  // namespace isthmus::wire::healthimaging
