// Answers, both directions, and errors.
#include <algorithm>
#include <array>

#include "wire/healthimaging/json.h"

namespace isthmus::wire::healthimaging {

namespace {

struct ErrorStatus {
  std::string_view type;
  int status;
};
// The model's errors; contracts/healthimaging section 2.
constexpr std::array<ErrorStatus, 9> kErrors = {{{"AccessDeniedException", 403},
                                                 {"BadRequestException", 400},
                                                 {"ConflictException", 409},
                                                 {"InternalServerException", 500},
                                                 {"NotAcceptableException", 406},
                                                 {"ResourceNotFoundException", 404},
                                                 {"ServiceQuotaExceededException", 402},
                                                 {"ThrottlingException", 429},
                                                 {"ValidationException", 400}}};

// "namespace#Name:http://…" → "Name".
std::string bare_name(std::string_view text) {
  text = text.substr(0, text.find(':'));
  if (const std::size_t hash = text.rfind('#'); hash != std::string_view::npos) {
    text.remove_prefix(hash + 1);
  }
  return std::string(text);
}

OrderedJson json_of(const DatastoreSummary& store) {
  OrderedJson json;
  json["datastoreId"] = store.datastore_id;
  json["datastoreName"] = store.datastore_name;
  json["datastoreStatus"] = store.datastore_status;
  put(json, "datastoreArn", store.datastore_arn);
  put(json, "createdAt", store.created_at);
  put(json, "updatedAt", store.updated_at);
  return json;
}

DatastoreSummary read_datastore_summary(const Json& json, std::optional<Error>& error) {
  Fields fields(json, error);
  return {fields.required_text("datastoreId"),
          fields.required_text("datastoreName"),
          fields.required_text("datastoreStatus"),
          fields.text("datastoreArn"),
          fields.time("createdAt"),
          fields.time("updatedAt")};
}

OrderedJson json_of(const DICOMImportJobSummary& job) {
  OrderedJson json;
  json["jobId"] = job.job_id;
  json["jobName"] = job.job_name;
  json["jobStatus"] = job.job_status;
  json["datastoreId"] = job.datastore_id;
  put(json, "dataAccessRoleArn", job.data_access_role_arn);
  put(json, "endedAt", job.ended_at);
  put(json, "submittedAt", job.submitted_at);
  put(json, "message", job.message);
  return json;
}

DICOMImportJobSummary read_job_summary(const Json& json, std::optional<Error>& error) {
  Fields fields(json, error);
  // A job started without a name may be listed without one.
  return {fields.required_text("jobId"),     fields.text("jobName").value_or(""),
          fields.required_text("jobStatus"), fields.text("datastoreId").value_or(""),
          fields.text("dataAccessRoleArn"),  fields.time("endedAt"),
          fields.time("submittedAt"),        fields.text("message")};
}

OrderedJson overrides_of(bool forced) {
  OrderedJson json;
  json["forced"] = forced;
  return json;
}

std::optional<bool> read_overrides(const Fields& fields, std::optional<Error>& error) {
  return Fields(fields.object("overrides"), error).boolean("forced");
}

OrderedJson json_of(const ImageSetProperties& set) {
  OrderedJson json;
  json["imageSetId"] = set.image_set_id;
  json["versionId"] = set.version_id;
  json["imageSetState"] = set.image_set_state;
  put(json, "ImageSetWorkflowStatus", set.image_set_workflow_status);
  put(json, "createdAt", set.created_at);
  put(json, "updatedAt", set.updated_at);
  put(json, "deletedAt", set.deleted_at);
  put(json, "message", set.message);
  if (set.overrides_forced) json["overrides"] = overrides_of(*set.overrides_forced);
  put(json, "isPrimary", set.is_primary);
  return json;
}

ImageSetProperties read_image_set_properties(const Json& json, std::optional<Error>& error) {
  Fields fields(json, error);
  ImageSetProperties set;
  set.image_set_id = fields.required_text("imageSetId");
  set.version_id = fields.required_text("versionId");
  set.image_set_state = fields.required_text("imageSetState");
  set.image_set_workflow_status = fields.text("ImageSetWorkflowStatus");
  set.created_at = fields.time("createdAt");
  set.updated_at = fields.time("updatedAt");
  set.deleted_at = fields.time("deletedAt");
  set.message = fields.text("message");
  set.overrides_forced = read_overrides(fields, error);
  set.is_primary = fields.boolean("isPrimary");
  return set;
}

OrderedJson json_of(const DICOMTags& tags) {
  OrderedJson json = OrderedJson::object();
  put(json, "DICOMPatientId", tags.patient_id);
  put(json, "DICOMPatientName", tags.patient_name);
  put(json, "DICOMPatientBirthDate", tags.patient_birth_date);
  put(json, "DICOMPatientSex", tags.patient_sex);
  put(json, "DICOMStudyInstanceUID", tags.study_instance_uid);
  put(json, "DICOMStudyId", tags.study_id);
  put(json, "DICOMStudyDescription", tags.study_description);
  put(json, "DICOMNumberOfStudyRelatedSeries", tags.number_of_study_related_series);
  put(json, "DICOMNumberOfStudyRelatedInstances", tags.number_of_study_related_instances);
  put(json, "DICOMAccessionNumber", tags.accession_number);
  put(json, "DICOMSeriesInstanceUID", tags.series_instance_uid);
  put(json, "DICOMSeriesModality", tags.series_modality);
  put(json, "DICOMSeriesBodyPart", tags.series_body_part);
  put(json, "DICOMSeriesNumber", tags.series_number);
  put(json, "DICOMStudyDate", tags.study_date);
  put(json, "DICOMStudyTime", tags.study_time);
  return json;
}

DICOMTags read_tags(const Json& json, std::optional<Error>& error) {
  const Fields fields(json, error);
  DICOMTags tags;
  tags.patient_id = fields.text("DICOMPatientId");
  tags.patient_name = fields.text("DICOMPatientName");
  tags.patient_birth_date = fields.text("DICOMPatientBirthDate");
  tags.patient_sex = fields.text("DICOMPatientSex");
  tags.study_instance_uid = fields.text("DICOMStudyInstanceUID");
  tags.study_id = fields.text("DICOMStudyId");
  tags.study_description = fields.text("DICOMStudyDescription");
  tags.number_of_study_related_series = fields.integer("DICOMNumberOfStudyRelatedSeries");
  tags.number_of_study_related_instances = fields.integer("DICOMNumberOfStudyRelatedInstances");
  tags.accession_number = fields.text("DICOMAccessionNumber");
  tags.series_instance_uid = fields.text("DICOMSeriesInstanceUID");
  tags.series_modality = fields.text("DICOMSeriesModality");
  tags.series_body_part = fields.text("DICOMSeriesBodyPart");
  tags.series_number = fields.integer("DICOMSeriesNumber");
  tags.study_date = fields.text("DICOMStudyDate");
  tags.study_time = fields.text("DICOMStudyTime");
  return tags;
}

OrderedJson json_of(const ImageSetsMetadataSummary& set) {
  OrderedJson json;
  json["imageSetId"] = set.image_set_id;
  put(json, "version", set.version);
  put(json, "createdAt", set.created_at);
  put(json, "updatedAt", set.updated_at);
  put(json, "lastAccessedAt", set.last_accessed_at);
  put(json, "storageTier", set.storage_tier);
  json["DICOMTags"] = json_of(set.tags);
  put(json, "isPrimary", set.is_primary);
  return json;
}

ImageSetsMetadataSummary read_summary(const Json& json, std::optional<Error>& error) {
  Fields fields(json, error);
  ImageSetsMetadataSummary set;
  set.image_set_id = fields.required_text("imageSetId");
  set.version = fields.integer("version");
  set.created_at = fields.time("createdAt");
  set.updated_at = fields.time("updatedAt");
  set.last_accessed_at = fields.time("lastAccessedAt");
  set.storage_tier = fields.text("storageTier");
  set.tags = read_tags(fields.object("DICOMTags"), error);
  set.is_primary = fields.boolean("isPrimary");
  return set;
}

template <typename T>
std::string print_list(const char* name, const std::vector<T>& items,
                       const std::optional<std::string>& next_token,
                       const std::optional<SearchSort>& sort = std::nullopt) {
  OrderedJson json;
  OrderedJson& list = json[name] = OrderedJson::array();
  for (const T& item : items) list.push_back(json_of(item));
  if (sort) json["sort"] = healthimaging::json_of(*sort);
  put(json, "nextToken", next_token);
  return dumped(json);
}

template <typename T, typename Read>
std::vector<T> read_list(const Json& list, std::optional<Error>& error, Read read) {
  std::vector<T> items;
  for (const Json& item : list) items.push_back(read(item, error));
  return items;
}

}  // namespace

std::string print(const ErrorBody& error) {
  OrderedJson json;
  json["__type"] = error.type;
  json["message"] = error.message;
  return dumped(json);
}

ErrorBody read_error(std::string_view error_type_header, std::string_view body) {
  ErrorBody read{bare_name(error_type_header), ""};
  const std::optional<Json> json = parsed_json(body);
  if (!json || !json->is_object()) return read;
  std::optional<Error> error;
  const Fields fields(*json, error);
  for (const char* name : {"__type", "code"}) {
    if (read.type.empty()) read.type = bare_name(fields.text(name).value_or(""));
  }
  for (const char* name : {"message", "Message"}) {
    if (read.message.empty()) read.message = fields.text(name).value_or("");
  }
  return read;
}

int status_of(std::string_view error_type) {
  const auto found = std::ranges::find(kErrors, error_type, &ErrorStatus::type);
  return found == kErrors.end() ? 500 : found->status;
}

std::string print(const CreateDatastoreResponse& response) {
  OrderedJson json;
  json["datastoreId"] = response.datastore_id;
  json["datastoreStatus"] = response.datastore_status;
  return dumped(json);
}

template <>
Result<CreateDatastoreResponse> parse_response(std::string_view body) {
  return read_object<CreateDatastoreResponse>(
      body, "answer of CreateDatastore", [](Fields& fields, std::optional<Error>&) {
        return CreateDatastoreResponse{fields.required_text("datastoreId"),
                                       fields.required_text("datastoreStatus")};
      });
}

std::string print(const GetDatastoreResponse& response) {
  const DatastoreProperties& store = response.properties;
  OrderedJson inner;
  inner["datastoreId"] = store.datastore_id;
  inner["datastoreName"] = store.datastore_name;
  inner["datastoreStatus"] = store.datastore_status;
  put(inner, "kmsKeyArn", store.kms_key_arn);
  put(inner, "lambdaAuthorizerArn", store.lambda_authorizer_arn);
  put(inner, "losslessStorageFormat", store.lossless_storage_format);
  put(inner, "datastoreArn", store.datastore_arn);
  put(inner, "createdAt", store.created_at);
  put(inner, "updatedAt", store.updated_at);
  OrderedJson json;
  json["datastoreProperties"] = std::move(inner);
  return dumped(json);
}

template <>
Result<GetDatastoreResponse> parse_response(std::string_view body) {
  return read_object<GetDatastoreResponse>(
      body, "answer of GetDatastore", [](Fields& outer, std::optional<Error>& error) {
        Fields fields(outer.required_object("datastoreProperties"), error);
        GetDatastoreResponse response;
        DatastoreProperties& store = response.properties;
        store.datastore_id = fields.required_text("datastoreId");
        store.datastore_name = fields.required_text("datastoreName");
        store.datastore_status = fields.required_text("datastoreStatus");
        store.kms_key_arn = fields.text("kmsKeyArn");
        store.lambda_authorizer_arn = fields.text("lambdaAuthorizerArn");
        store.lossless_storage_format = fields.text("losslessStorageFormat");
        store.datastore_arn = fields.text("datastoreArn");
        store.created_at = fields.time("createdAt");
        store.updated_at = fields.time("updatedAt");
        return response;
      });
}

std::string print(const ListDatastoresResponse& response) {
  return print_list("datastoreSummaries", response.summaries, response.next_token);
}

template <>
Result<ListDatastoresResponse> parse_response(std::string_view body) {
  return read_object<ListDatastoresResponse>(
      body, "answer of ListDatastores", [](Fields& fields, std::optional<Error>& error) {
        return ListDatastoresResponse{
            read_list<DatastoreSummary>(fields.array("datastoreSummaries"), error,
                                        read_datastore_summary),
            fields.text("nextToken")};
      });
}

std::string print(const DeleteDatastoreResponse& response) {
  return print(CreateDatastoreResponse{response.datastore_id, response.datastore_status});
}

template <>
Result<DeleteDatastoreResponse> parse_response(std::string_view body) {
  TRY_ASSIGN(CreateDatastoreResponse same, parse_response<CreateDatastoreResponse>(body));
  return DeleteDatastoreResponse{std::move(same.datastore_id), std::move(same.datastore_status)};
}

std::string print(const StartDICOMImportJobResponse& response) {
  OrderedJson json;
  json["datastoreId"] = response.datastore_id;
  json["jobId"] = response.job_id;
  json["jobStatus"] = response.job_status;
  put(json, "submittedAt", response.submitted_at);
  return dumped(json);
}

template <>
Result<StartDICOMImportJobResponse> parse_response(std::string_view body) {
  return read_object<StartDICOMImportJobResponse>(
      body, "answer of StartDICOMImportJob", [](Fields& fields, std::optional<Error>&) {
        return StartDICOMImportJobResponse{
            fields.text("datastoreId").value_or(""), fields.required_text("jobId"),
            fields.text("jobStatus").value_or("SUBMITTED"), fields.time("submittedAt")};
      });
}

std::string print(const GetDICOMImportJobResponse& response) {
  const DICOMImportJobProperties& job = response.properties;
  OrderedJson inner;
  inner["jobId"] = job.job_id;
  inner["jobName"] = job.job_name;
  inner["jobStatus"] = job.job_status;
  inner["datastoreId"] = job.datastore_id;
  inner["dataAccessRoleArn"] = job.data_access_role_arn;
  put(inner, "endedAt", job.ended_at);
  put(inner, "submittedAt", job.submitted_at);
  inner["inputS3Uri"] = job.input_s3_uri;
  inner["outputS3Uri"] = job.output_s3_uri;
  put(inner, "message", job.message);
  if (job.import_configuration) {
    inner["importConfiguration"] = healthimaging::json_of(*job.import_configuration);
  }
  OrderedJson json;
  json["jobProperties"] = std::move(inner);
  return dumped(json);
}

template <>
Result<GetDICOMImportJobResponse> parse_response(std::string_view body) {
  return read_object<GetDICOMImportJobResponse>(
      body, "answer of GetDICOMImportJob", [](Fields& outer, std::optional<Error>& error) {
        Fields fields(outer.required_object("jobProperties"), error);
        GetDICOMImportJobResponse response;
        DICOMImportJobProperties& job = response.properties;
        job.job_id = fields.required_text("jobId");
        job.job_name = fields.text("jobName").value_or("");
        job.job_status = fields.required_text("jobStatus");
        job.datastore_id = fields.text("datastoreId").value_or("");
        job.data_access_role_arn = fields.text("dataAccessRoleArn").value_or("");
        job.ended_at = fields.time("endedAt");
        job.submitted_at = fields.time("submittedAt");
        job.input_s3_uri = fields.text("inputS3Uri").value_or("");
        job.output_s3_uri = fields.text("outputS3Uri").value_or("");
        job.message = fields.text("message");
        if (const Json& configuration = fields.object("importConfiguration");
            !configuration.empty()) {
          Faults faults;  // what the service accepted is not judged again
          job.import_configuration = read_import_configuration(configuration, "", faults);
        }
        return response;
      });
}

std::string print(const ListDICOMImportJobsResponse& response) {
  return print_list("jobSummaries", response.summaries, response.next_token);
}

template <>
Result<ListDICOMImportJobsResponse> parse_response(std::string_view body) {
  return read_object<ListDICOMImportJobsResponse>(
      body, "answer of ListDICOMImportJobs", [](Fields& fields, std::optional<Error>& error) {
        return ListDICOMImportJobsResponse{
            read_list<DICOMImportJobSummary>(fields.array("jobSummaries"), error, read_job_summary),
            fields.text("nextToken")};
      });
}

std::string print(const GetImageSetResponse& set) {
  OrderedJson json;
  json["datastoreId"] = set.datastore_id;
  json["imageSetId"] = set.image_set_id;
  json["versionId"] = set.version_id;
  json["imageSetState"] = set.image_set_state;
  put(json, "imageSetWorkflowStatus", set.image_set_workflow_status);
  put(json, "createdAt", set.created_at);
  put(json, "updatedAt", set.updated_at);
  put(json, "deletedAt", set.deleted_at);
  put(json, "message", set.message);
  put(json, "imageSetArn", set.image_set_arn);
  if (set.overrides_forced) json["overrides"] = overrides_of(*set.overrides_forced);
  put(json, "isPrimary", set.is_primary);
  put(json, "lastAccessedAt", set.last_accessed_at);
  put(json, "storageTier", set.storage_tier);
  return dumped(json);
}

template <>
Result<GetImageSetResponse> parse_response(std::string_view body) {
  return read_object<GetImageSetResponse>(
      body, "answer of GetImageSet", [](Fields& fields, std::optional<Error>& error) {
        GetImageSetResponse set;
        set.datastore_id = fields.text("datastoreId").value_or("");
        set.image_set_id = fields.required_text("imageSetId");
        set.version_id = fields.required_text("versionId");
        set.image_set_state = fields.required_text("imageSetState");
        set.image_set_workflow_status = fields.text("imageSetWorkflowStatus");
        set.created_at = fields.time("createdAt");
        set.updated_at = fields.time("updatedAt");
        set.deleted_at = fields.time("deletedAt");
        set.message = fields.text("message");
        set.image_set_arn = fields.text("imageSetArn");
        set.overrides_forced = read_overrides(fields, error);
        set.is_primary = fields.boolean("isPrimary");
        set.last_accessed_at = fields.time("lastAccessedAt");
        set.storage_tier = fields.text("storageTier");
        return set;
      });
}

std::string print(const ListImageSetVersionsResponse& response) {
  return print_list("imageSetPropertiesList", response.properties, response.next_token);
}

template <>
Result<ListImageSetVersionsResponse> parse_response(std::string_view body) {
  return read_object<ListImageSetVersionsResponse>(
      body, "answer of ListImageSetVersions", [](Fields& fields, std::optional<Error>& error) {
        return ListImageSetVersionsResponse{
            read_list<ImageSetProperties>(fields.array("imageSetPropertiesList"), error,
                                          read_image_set_properties),
            fields.text("nextToken")};
      });
}

std::string print(const SearchImageSetsResponse& response) {
  return print_list("imageSetsMetadataSummaries", response.summaries, response.next_token,
                    response.sort);
}

template <>
Result<SearchImageSetsResponse> parse_response(std::string_view body) {
  return read_object<SearchImageSetsResponse>(
      body, "answer of SearchImageSets", [](Fields& fields, std::optional<Error>& error) {
        SearchImageSetsResponse response;
        response.summaries = read_list<ImageSetsMetadataSummary>(
            fields.array("imageSetsMetadataSummaries"), error, read_summary);
        const Fields sort(fields.object("sort"), error);
        if (sort.text("sortField")) {
          response.sort = SearchSort{sort.text("sortOrder").value_or(""), *sort.text("sortField")};
        }
        response.next_token = fields.text("nextToken");
        return response;
      });
}

}  // namespace isthmus::wire::healthimaging
