// The operations: from the request's members to the engine and back.
#include <charconv>

#include "datastore/api/healthimaging.h"
#include "datastore/api/search.h"

namespace isthmus::datastore {

namespace hi = wire::healthimaging;

namespace {

constexpr int kPage = 50;

http::Response json_response(std::string body) {
  return http::text_response(200, "application/json", std::move(body));
}

Error invalid(std::string message) {
  return permanent_error("ValidationException", std::move(message));
}

// Where the next page begins: what the last one ended with, in a form that nobody takes apart.
std::string to_token(const std::string& last) {
  return to_base64(as_bytes(last));
}
Result<std::string> from_token(const std::optional<std::string>& token) {
  if (!token) return std::string();
  const std::optional<Bytes> raw = from_base64(*token);
  if (!raw || raw->empty()) return invalid("nextToken is not one that was given out.");
  return std::string(as_text(*raw));
}

// Cuts a page that was read with one row too many, and says where the next begins.
template <typename Record, typename LastOf>
std::optional<std::string> cut_page(std::vector<Record>& records, std::size_t size,
                                    LastOf&& last_of) {
  if (records.size() <= size) return std::nullopt;
  records.resize(size);
  return to_token(last_of(records.back()));
}

Result<std::optional<std::int64_t>> version_number(const std::optional<std::string>& text) {
  if (!text) return std::optional<std::int64_t>{};
  std::int64_t number = 0;
  const auto [end, failure] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (failure != std::errc{} || end != text->data() + text->size()) {
    // Digits, as the pattern wants, but more than any version has.
    return permanent_error("datastore.no_such_image_set", "There is no such version.");
  }
  return std::optional<std::int64_t>(number);
}

// Of everything but the token: what must be the same when the token is.
template <typename Request>
Digest request_digest(Request request) {
  request.client_token = "-";
  const hi::Call call = hi::to_call(request);
  return sha256(call.target + "\n" + call.body);
}

// The model's Message is made of these characters only.
std::string to_message(std::string text) {
  for (char& c : text) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '`';
    if (!word && !(c >= ' ' && c <= ':')) c = ' ';
  }
  return text.substr(0, 2048);
}

}  // namespace

HealthImagingApi::Answer HealthImagingApi::create_data_store(const hi::Incoming& incoming) {
  TRY_ASSIGN(const auto request, hi::parse_request<hi::CreateDatastoreRequest>(incoming));
  DataStoreRecord wanted;
  wanted.name = request.datastore_name.value_or("");
  wanted.kms_key_arn = request.kms_key_arn;
  wanted.lambda_authorizer_arn = request.lambda_authorizer_arn;
  wanted.lossless_storage_format = request.lossless_storage_format.value_or("HTJ2K");
  TRY_ASSIGN(const DataStoreRecord made,
             parts_.data_stores.create(
                 wanted, request.tags,
                 {"CreateDatastore", "", request.client_token, request_digest(request)}));
  return json_response(hi::print(hi::CreateDatastoreResponse{made.id, made.status}));
}

HealthImagingApi::Answer HealthImagingApi::get_data_store(const hi::Incoming& incoming) {
  TRY_ASSIGN(const auto request, hi::parse_request<hi::GetDatastoreRequest>(incoming));
  TRY_ASSIGN(const DataStoreRecord record, parts_.data_stores.find(request.datastore_id));
  hi::DatastoreProperties properties;
  properties.datastore_id = record.id;
  properties.datastore_name = record.name;
  properties.datastore_status = record.status;
  properties.kms_key_arn = record.kms_key_arn;
  properties.lambda_authorizer_arn = record.lambda_authorizer_arn;
  properties.lossless_storage_format = record.lossless_storage_format;
  properties.datastore_arn = data_store_arn(record.id);
  properties.created_at = record.created_at;
  properties.updated_at = record.updated_at;
  return json_response(hi::print(hi::GetDatastoreResponse{std::move(properties)}));
}

HealthImagingApi::Answer HealthImagingApi::list_data_stores(const hi::Incoming& incoming) {
  TRY_ASSIGN(const auto request, hi::parse_request<hi::ListDatastoresRequest>(incoming));
  TRY_ASSIGN(const std::string after, from_token(request.next_token));
  const auto size = static_cast<std::size_t>(request.max_results.value_or(kPage));
  TRY_ASSIGN(std::vector<DataStoreRecord> records,
             parts_.data_stores.list(request.datastore_status, after, size + 1));
  hi::ListDatastoresResponse response;
  response.next_token =
      cut_page(records, size, [](const DataStoreRecord& last) { return last.id; });
  for (const DataStoreRecord& record : records) {
    response.summaries.push_back({record.id, record.name, record.status, data_store_arn(record.id),
                                  record.created_at, record.updated_at});
  }
  return json_response(hi::print(response));
}

HealthImagingApi::Answer HealthImagingApi::delete_data_store(const hi::Incoming& incoming) {
  TRY_ASSIGN(const auto request, hi::parse_request<hi::DeleteDatastoreRequest>(incoming));
  TRY_ASSIGN(const DataStoreRecord record, parts_.data_stores.remove(request.datastore_id));
  return json_response(hi::print(hi::DeleteDatastoreResponse{record.id, record.status}));
}

HealthImagingApi::Answer HealthImagingApi::start_import(const hi::Incoming& incoming) {
  TRY_ASSIGN(const auto request, hi::parse_request<hi::StartDICOMImportJobRequest>(incoming));
  ImportJobRecord wanted;
  wanted.data_store = request.datastore_id;
  wanted.name = request.job_name.value_or("");
  wanted.role_arn = request.data_access_role_arn;
  wanted.input_s3_uri = request.input_s3_uri;
  wanted.output_s3_uri = request.output_s3_uri;
  if (request.import_configuration) {
    wanted.import_configuration = hi::print(*request.import_configuration);
  }
  TRY_ASSIGN(const ImportJobRecord job,
             parts_.import_jobs.accept(wanted, {"StartDICOMImportJob", request.datastore_id,
                                                request.client_token, request_digest(request)}));
  if (parts_.job_accepted) parts_.job_accepted();
  return json_response(hi::print(
      hi::StartDICOMImportJobResponse{job.data_store, job.id, job.status, job.submitted_at}));
}

HealthImagingApi::Answer HealthImagingApi::get_import(const hi::Incoming& incoming) {
  TRY_ASSIGN(const auto request, hi::parse_request<hi::GetDICOMImportJobRequest>(incoming));
  TRY_ASSIGN(const ImportJobRecord job,
             parts_.import_jobs.find(request.datastore_id, request.job_id));
  hi::DICOMImportJobProperties properties;
  properties.job_id = job.id;
  properties.job_name = job.name;
  properties.job_status = job.status;
  properties.datastore_id = job.data_store;
  properties.data_access_role_arn = job.role_arn;
  properties.ended_at = job.ended_at;
  properties.submitted_at = job.submitted_at;
  properties.input_s3_uri = job.input_s3_uri;
  properties.output_s3_uri = hi::job_folder(job.output_s3_uri, job.data_store, job.id);
  if (job.message) properties.message = to_message(*job.message);
  if (job.import_configuration) {
    TRY_ASSIGN(properties.import_configuration,
               hi::parse_import_configuration(*job.import_configuration));
  }
  return json_response(hi::print(hi::GetDICOMImportJobResponse{std::move(properties)}));
}

HealthImagingApi::Answer HealthImagingApi::list_imports(const hi::Incoming& incoming) {
  TRY_ASSIGN(const auto request, hi::parse_request<hi::ListDICOMImportJobsRequest>(incoming));
  TRY_ASSIGN(const std::string after, from_token(request.next_token));
  TRY(parts_.data_stores.find(request.datastore_id));
  const auto size = static_cast<std::size_t>(request.max_results.value_or(kPage));
  TRY_ASSIGN(std::vector<ImportJobRecord> jobs,
             parts_.import_jobs.list(request.datastore_id, request.job_status, after, size + 1));
  hi::ListDICOMImportJobsResponse response;
  response.next_token = cut_page(jobs, size, [](const ImportJobRecord& last) { return last.id; });
  for (const ImportJobRecord& job : jobs) {
    hi::DICOMImportJobSummary summary;
    summary.job_id = job.id;
    summary.job_name = job.name;
    summary.job_status = job.status;
    summary.datastore_id = job.data_store;
    summary.data_access_role_arn = job.role_arn;
    summary.ended_at = job.ended_at;
    summary.submitted_at = job.submitted_at;
    if (job.message) summary.message = to_message(*job.message);
    response.summaries.push_back(std::move(summary));
  }
  return json_response(hi::print(response));
}

HealthImagingApi::Answer HealthImagingApi::get_image_set(const hi::Incoming& incoming) {
  TRY_ASSIGN(const auto request, hi::parse_request<hi::GetImageSetRequest>(incoming));
  TRY_ASSIGN(const auto version, version_number(request.version_id));
  TRY_ASSIGN(const ImageSetVersionRecord record,
             parts_.image_sets.find(request.datastore_id, request.image_set_id, version));
  hi::GetImageSetResponse response;
  response.datastore_id = request.datastore_id;
  response.image_set_id = record.image_set;
  response.version_id = std::to_string(record.version);
  response.image_set_state = record.state;
  response.image_set_workflow_status = record.workflow_status;
  response.created_at = record.created_at;
  response.updated_at = record.updated_at;
  response.deleted_at = record.deleted_at;
  if (record.message) response.message = to_message(*record.message);
  response.overrides_forced = record.forced;
  response.image_set_arn = data_store_arn(request.datastore_id) + "/imageset/" + record.image_set;
  response.is_primary = record.is_primary;
  response.last_accessed_at = record.accessed_at;
  response.storage_tier = storage_tier(record.updated_at, record.accessed_at);
  return json_response(hi::print(response));
}

HealthImagingApi::Answer HealthImagingApi::list_versions(const hi::Incoming& incoming) {
  TRY_ASSIGN(const auto request, hi::parse_request<hi::ListImageSetVersionsRequest>(incoming));
  TRY_ASSIGN(const std::string last, from_token(request.next_token));
  std::int64_t below = 0;
  if (!last.empty()) {
    const auto [end, failure] = std::from_chars(last.data(), last.data() + last.size(), below);
    if (failure != std::errc{} || end != last.data() + last.size() || below < 1) {
      return invalid("nextToken is not one that was given out.");
    }
  }
  const auto size = static_cast<std::size_t>(request.max_results.value_or(kPage));
  TRY_ASSIGN(
      std::vector<ImageSetVersionRecord> versions,
      parts_.image_sets.versions(request.datastore_id, request.image_set_id, below, size + 1));
  hi::ListImageSetVersionsResponse response;
  response.next_token = cut_page(versions, size, [](const ImageSetVersionRecord& record) {
    return std::to_string(record.version);
  });
  for (const ImageSetVersionRecord& record : versions) {
    hi::ImageSetProperties properties;
    properties.image_set_id = record.image_set;
    properties.version_id = std::to_string(record.version);
    properties.image_set_state = record.state;
    properties.image_set_workflow_status = record.workflow_status;
    properties.created_at = record.created_at;
    properties.updated_at = record.updated_at;
    properties.deleted_at = record.deleted_at;
    if (record.message) properties.message = to_message(*record.message);
    properties.overrides_forced = record.forced;
    properties.is_primary = record.is_primary;
    response.properties.push_back(std::move(properties));
  }
  return json_response(hi::print(response));
}

// Gzip whatever the client says it takes: contracts/healthimaging section 4.
HealthImagingApi::Answer HealthImagingApi::get_metadata(const hi::Incoming& incoming) {
  TRY_ASSIGN(const auto request, hi::parse_request<hi::GetImageSetMetadataRequest>(incoming));
  TRY_ASSIGN(const auto version, version_number(request.version_id));
  TRY_ASSIGN(const ImageSetVersionRecord record,
             parts_.image_sets.find_content(request.datastore_id, request.image_set_id, version));
  parts_.image_sets.note_access(record);
  http::Response response;
  TRY_ASSIGN(response.body, parts_.image_sets.metadata(request.datastore_id, record));
  response.headers.set("Content-Type", "application/json");
  response.headers.set("Content-Encoding", "gzip");
  return response;
}

HealthImagingApi::Answer HealthImagingApi::search(const hi::Incoming& incoming) {
  TRY_ASSIGN(const auto request, hi::parse_request<hi::SearchImageSetsRequest>(incoming));
  TRY_ASSIGN(ImageSetQuery query, to_query(request));
  TRY(parts_.data_stores.find(request.datastore_id));
  const std::size_t size = query.limit;
  ++query.limit;
  TRY_ASSIGN(std::vector<ImageSetSummary> found,
             parts_.image_sets.search(request.datastore_id, query));
  hi::SearchImageSetsResponse response;
  if (found.size() > size) {
    found.resize(size);
    response.next_token = search_token(request, query, found.back());
  }
  for (const ImageSetSummary& summary : found) {
    response.summaries.push_back(to_wire(summary));
    response.summaries.back().storage_tier = storage_tier(summary.updated_at, summary.accessed_at);
  }
  response.sort = request.sort.value_or(hi::SearchSort{"DESC", "updatedAt"});
  return json_response(hi::print(response));
}

}  // namespace isthmus::datastore
