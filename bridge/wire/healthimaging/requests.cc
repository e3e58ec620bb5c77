// Requests, both directions: what a client sends, and what a server makes of it.
#include <fmt/format.h>

#include "wire/healthimaging/json.h"

namespace isthmus::wire::healthimaging {

namespace {

SearchValue read_search_value(const Json& json, const std::string& where, Faults& faults) {
  SearchValue value;
  Checked members(json, where, faults);
  value.patient_id = members.text("DICOMPatientId", Shape::DICOMPatientId);
  value.accession_number = members.text("DICOMAccessionNumber", Shape::DICOMAccessionNumber);
  value.study_id = members.text("DICOMStudyId", Shape::DICOMStudyId);
  value.study_instance_uid = members.text("DICOMStudyInstanceUID", Shape::DICOMStudyInstanceUID);
  value.series_instance_uid = members.text("DICOMSeriesInstanceUID", Shape::DICOMSeriesInstanceUID);
  value.created_at = members.time("createdAt");
  value.updated_at = members.time("updatedAt");
  value.is_primary = members.boolean("isPrimary");
  constexpr const char* kDateAndTime = "DICOMStudyDateAndTime";
  if (const Json* const both = members.object(kDateAndTime)) {
    Checked inner(*both, members.where(kDateAndTime) + ".", faults);
    value.study_date_and_time =
        SearchValue::StudyDateAndTime{inner.required_text("DICOMStudyDate", Shape::DICOMStudyDate),
                                      inner.text("DICOMStudyTime", Shape::DICOMStudyTime)};
  }
  const int known = int{value.patient_id.has_value()} + int{value.accession_number.has_value()} +
                    int{value.study_id.has_value()} + int{value.study_instance_uid.has_value()} +
                    int{value.series_instance_uid.has_value()} + int{value.created_at.has_value()} +
                    int{value.updated_at.has_value()} + int{value.is_primary.has_value()} +
                    int{value.study_date_and_time.has_value()};
  if (known != 1 || members.present() != 1) {
    faults.note(validation_error(where, "Exactly one member of the union must be set"));
  }
  return value;
}

// Each element of a list that must hold objects.
template <typename Read>
void read_each(const Json* list, const std::string& where, Faults& faults, Read read) {
  if (list == nullptr) return;
  for (std::size_t at = 0; at < list->size(); ++at) {
    const std::string place = fmt::format("{}.{}.member", where, at + 1);
    if ((*list)[at].is_object()) {
      read((*list)[at], place + ".");
    } else {
      faults.note(validation_error(place, "Member must be an object"));
    }
  }
}

SearchFilter read_filter(const Json& json, const std::string& where, Faults& faults) {
  SearchFilter filter;
  Checked members(json, where, faults);
  members.require("values");
  read_each(members.array("values", 1, 2), members.where("values"), faults,
            [&](const Json& value, const std::string& place) {
              filter.values.push_back(read_search_value(value, place, faults));
            });
  filter.filter_operator = members.required_text("operator", Shape::Operator);
  return filter;
}

OrderedJson json_of(const SearchValue& value) {
  OrderedJson json = OrderedJson::object();
  put(json, "DICOMPatientId", value.patient_id);
  put(json, "DICOMAccessionNumber", value.accession_number);
  put(json, "DICOMStudyId", value.study_id);
  put(json, "DICOMStudyInstanceUID", value.study_instance_uid);
  put(json, "DICOMSeriesInstanceUID", value.series_instance_uid);
  put(json, "createdAt", value.created_at);
  put(json, "updatedAt", value.updated_at);
  if (value.study_date_and_time) {
    OrderedJson& both = json["DICOMStudyDateAndTime"];
    both["DICOMStudyDate"] = value.study_date_and_time->study_date;
    put(both, "DICOMStudyTime", value.study_date_and_time->study_time);
  }
  put(json, "isPrimary", value.is_primary);
  return json;
}

}  // namespace

Result<ImportConfiguration> parse_import_configuration(std::string_view json) {
  Faults faults;
  const Json body = body_of(json, nullptr, faults);
  if (faults.first()) return *faults.first();
  return done(read_import_configuration(body, "", faults), faults);
}

std::string print(const ImportConfiguration& configuration) {
  return dumped(json_of(configuration));
}

template <>
Result<CreateDatastoreRequest> parse_request(const Incoming& incoming) {
  Faults faults;
  const Json body = body_of(incoming.body, nullptr, faults);
  Checked members(body, "", faults);
  CreateDatastoreRequest request;
  request.datastore_name = members.text("datastoreName", Shape::DatastoreName);
  request.client_token = members.required_text("clientToken", Shape::ClientToken);
  read_tags(members, "tags", request.tags, faults);
  request.kms_key_arn = members.text("kmsKeyArn", Shape::KmsKeyArn);
  request.lambda_authorizer_arn = members.text("lambdaAuthorizerArn", Shape::LambdaArn);
  request.lossless_storage_format =
      members.text("losslessStorageFormat", Shape::LosslessStorageFormat);
  return done(std::move(request), faults);
}

template <>
Result<GetDatastoreRequest> parse_request(const Incoming& incoming) {
  Faults faults;
  Parameters parameters(incoming, faults);
  return done(GetDatastoreRequest{parameters.path("datastoreId", Shape::DatastoreId)}, faults);
}

template <>
Result<ListDatastoresRequest> parse_request(const Incoming& incoming) {
  Faults faults;
  Parameters parameters(incoming, faults);
  ListDatastoresRequest request;
  request.datastore_status = parameters.query("datastoreStatus", Shape::DatastoreStatus);
  request.next_token = parameters.query("nextToken", Shape::NextToken);
  request.max_results = parameters.query_count("maxResults", 1, 50);
  return done(std::move(request), faults);
}

template <>
Result<DeleteDatastoreRequest> parse_request(const Incoming& incoming) {
  Faults faults;
  Parameters parameters(incoming, faults);
  return done(DeleteDatastoreRequest{parameters.path("datastoreId", Shape::DatastoreId)}, faults);
}

template <>
Result<StartDICOMImportJobRequest> parse_request(const Incoming& incoming) {
  Faults faults;
  Parameters parameters(incoming, faults);
  StartDICOMImportJobRequest request;
  request.datastore_id = parameters.path("datastoreId", Shape::DatastoreId);
  const Json body = body_of(incoming.body, nullptr, faults);
  Checked members(body, "", faults);
  request.job_name = members.text("jobName", Shape::JobName);
  request.data_access_role_arn = members.required_text("dataAccessRoleArn", Shape::RoleArn);
  request.client_token = members.required_text("clientToken", Shape::ClientToken);
  request.input_s3_uri = members.required_text("inputS3Uri", Shape::S3Uri);
  request.output_s3_uri = members.required_text("outputS3Uri", Shape::S3Uri);
  request.input_owner_account_id = members.text("inputOwnerAccountId", Shape::AwsAccountId);
  constexpr const char* kConfiguration = "importConfiguration";
  if (const Json* const configuration = members.object(kConfiguration)) {
    request.import_configuration =
        read_import_configuration(*configuration, members.where(kConfiguration) + ".", faults);
  }
  return done(std::move(request), faults);
}

template <>
Result<GetDICOMImportJobRequest> parse_request(const Incoming& incoming) {
  Faults faults;
  Parameters parameters(incoming, faults);
  return done(GetDICOMImportJobRequest{parameters.path("datastoreId", Shape::DatastoreId),
                                       parameters.path("jobId", Shape::JobId)},
              faults);
}

template <>
Result<ListDICOMImportJobsRequest> parse_request(const Incoming& incoming) {
  Faults faults;
  Parameters parameters(incoming, faults);
  ListDICOMImportJobsRequest request;
  request.datastore_id = parameters.path("datastoreId", Shape::DatastoreId);
  request.job_status = parameters.query("jobStatus", Shape::JobStatus);
  request.next_token = parameters.query("nextToken", Shape::NextToken);
  request.max_results = parameters.query_count("maxResults", 1, 50);
  return done(std::move(request), faults);
}

template <>
Result<GetImageSetRequest> parse_request(const Incoming& incoming) {
  Faults faults;
  Parameters parameters(incoming, faults);
  return done(GetImageSetRequest{parameters.path("datastoreId", Shape::DatastoreId),
                                 parameters.path("imageSetId", Shape::ImageSetId),
                                 parameters.query("version", Shape::ImageSetExternalVersionId)},
              faults);
}

template <>
Result<ListImageSetVersionsRequest> parse_request(const Incoming& incoming) {
  Faults faults;
  Parameters parameters(incoming, faults);
  ListImageSetVersionsRequest request;
  request.datastore_id = parameters.path("datastoreId", Shape::DatastoreId);
  request.image_set_id = parameters.path("imageSetId", Shape::ImageSetId);
  request.next_token = parameters.query("nextToken", Shape::NextToken);
  request.max_results = parameters.query_count("maxResults", 1, 50);
  return done(std::move(request), faults);
}

template <>
Result<GetImageSetMetadataRequest> parse_request(const Incoming& incoming) {
  Faults faults;
  Parameters parameters(incoming, faults);
  return done(
      GetImageSetMetadataRequest{parameters.path("datastoreId", Shape::DatastoreId),
                                 parameters.path("imageSetId", Shape::ImageSetId),
                                 parameters.query("version", Shape::ImageSetExternalVersionId)},
      faults);
}

template <>
Result<GetImageFrameRequest> parse_request(const Incoming& incoming) {
  Faults faults;
  Parameters parameters(incoming, faults);
  GetImageFrameRequest request;
  request.datastore_id = parameters.path("datastoreId", Shape::DatastoreId);
  request.image_set_id = parameters.path("imageSetId", Shape::ImageSetId);
  const Json body = body_of(incoming.body, "imageFrameInformation", faults);
  Checked members(body, "imageFrameInformation.", faults);
  request.image_frame_id = members.required_text("imageFrameId", Shape::ImageFrameId);
  return done(std::move(request), faults);
}

template <>
Result<SearchImageSetsRequest> parse_request(const Incoming& incoming) {
  Faults faults;
  Parameters parameters(incoming, faults);
  SearchImageSetsRequest request;
  request.datastore_id = parameters.path("datastoreId", Shape::DatastoreId);
  request.max_results = parameters.query_count("maxResults", 1, 50);
  request.next_token = parameters.query("nextToken", Shape::NextToken);
  const Json body = body_of(incoming.body, "searchCriteria", faults);
  Checked members(body, "searchCriteria.", faults);
  if (const Json* const filters = members.array("filters", 1, 2)) {
    std::vector<SearchFilter>& read = request.filters.emplace();
    read_each(filters, members.where("filters"), faults,
              [&](const Json& filter, const std::string& place) {
                read.push_back(read_filter(filter, place, faults));
              });
  }
  if (const Json* const sort = members.object("sort")) {
    Checked inner(*sort, members.where("sort") + ".", faults);
    request.sort = SearchSort{inner.required_text("sortOrder", Shape::SortOrder),
                              inner.required_text("sortField", Shape::SortField)};
  }
  return done(std::move(request), faults);
}

Call to_call(const CreateDatastoreRequest& request) {
  OrderedJson body;
  put(body, "datastoreName", request.datastore_name);
  body["clientToken"] = request.client_token;
  if (!request.tags.empty()) body["tags"] = request.tags;
  put(body, "kmsKeyArn", request.kms_key_arn);
  put(body, "lambdaAuthorizerArn", request.lambda_authorizer_arn);
  put(body, "losslessStorageFormat", request.lossless_storage_format);
  return {"POST", std::string(paths::kDatastores), dumped(body)};
}

Call to_call(const GetDatastoreRequest& request) {
  return {"GET", Target(paths::kDatastore, {request.datastore_id}).text(), ""};
}

Call to_call(const ListDatastoresRequest& request) {
  Target target(paths::kDatastores, {});
  target.with("datastoreStatus", request.datastore_status)
      .with("nextToken", request.next_token)
      .with("maxResults", request.max_results);
  return {"GET", target.text(), ""};
}

Call to_call(const DeleteDatastoreRequest& request) {
  return {"DELETE", Target(paths::kDatastore, {request.datastore_id}).text(), ""};
}

Call to_call(const StartDICOMImportJobRequest& request) {
  OrderedJson body;
  put(body, "jobName", request.job_name);
  body["dataAccessRoleArn"] = request.data_access_role_arn;
  body["clientToken"] = request.client_token;
  body["inputS3Uri"] = request.input_s3_uri;
  body["outputS3Uri"] = request.output_s3_uri;
  put(body, "inputOwnerAccountId", request.input_owner_account_id);
  if (request.import_configuration) {
    body["importConfiguration"] = json_of(*request.import_configuration);
  }
  return {"POST", Target(paths::kStartImport, {request.datastore_id}).text(), dumped(body)};
}

Call to_call(const GetDICOMImportJobRequest& request) {
  return {"GET", Target(paths::kGetImport, {request.datastore_id, request.job_id}).text(), ""};
}

Call to_call(const ListDICOMImportJobsRequest& request) {
  Target target(paths::kListImports, {request.datastore_id});
  target.with("jobStatus", request.job_status)
      .with("nextToken", request.next_token)
      .with("maxResults", request.max_results);
  return {"GET", target.text(), ""};
}

Call to_call(const GetImageSetRequest& request) {
  Target target(paths::kGetImageSet, {request.datastore_id, request.image_set_id});
  return {"POST", target.with("version", request.version_id).text(), ""};
}

Call to_call(const ListImageSetVersionsRequest& request) {
  Target target(paths::kListVersions, {request.datastore_id, request.image_set_id});
  target.with("nextToken", request.next_token).with("maxResults", request.max_results);
  return {"POST", target.text(), ""};
}

Call to_call(const GetImageSetMetadataRequest& request) {
  Target target(paths::kGetMetadata, {request.datastore_id, request.image_set_id});
  return {"POST", target.with("version", request.version_id).text(), ""};
}

Call to_call(const GetImageFrameRequest& request) {
  OrderedJson body = OrderedJson::object();
  body["imageFrameId"] = request.image_frame_id;
  const Target target(paths::kGetFrame, {request.datastore_id, request.image_set_id});
  return {"POST", target.text(), dumped(body)};
}

Call to_call(const SearchImageSetsRequest& request) {
  OrderedJson body = OrderedJson::object();
  if (request.filters) {
    OrderedJson& filters = body["filters"] = OrderedJson::array();
    for (const SearchFilter& filter : *request.filters) {
      OrderedJson one;
      OrderedJson& values = one["values"] = OrderedJson::array();
      for (const SearchValue& value : filter.values) values.push_back(json_of(value));
      one["operator"] = filter.filter_operator;
      filters.push_back(std::move(one));
    }
  }
  if (request.sort) body["sort"] = json_of(*request.sort);
  Target target(paths::kSearch, {request.datastore_id});
  target.with("maxResults", request.max_results).with("nextToken", request.next_token);
  return {"POST", target.text(), dumped(body)};
}

}  // namespace isthmus::wire::healthimaging
