// UpdateImageSetMetadata, CopyImageSet, DeleteImageSet and the tag operations, both directions.
#include <fmt/format.h>

#include "base/digest.h"
#include "wire/healthimaging/json.h"

namespace isthmus::wire::healthimaging {

namespace {

constexpr std::size_t kMostAttributeBytes = 30'000;  // service-2.json, DICOMAttribute
constexpr std::size_t kMostTagKeys = 200;            // service-2.json, TagKeyList

// A blob inside JSON: base64 of UTF-8 JSON text (contract, section 2 "Encodings").
std::optional<std::string> read_blob(const Json& object, const char* name, const std::string& where,
                                     Faults& faults) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return std::nullopt;
  const std::string place = where + name;
  const std::optional<Bytes> raw =
      found->is_string() ? from_base64(found->get<std::string>()) : std::nullopt;
  if (!raw) {
    faults.note(validation_error(place, "Member must be base64"));
    return std::nullopt;
  }
  if (raw->empty()) {
    faults.note(validation_error(place, "Member must have length greater than or equal to 1"));
  }
  if (raw->size() > kMostAttributeBytes) {
    faults.note(validation_error(place, "Member must have length less than or equal to 30000"));
  }
  return std::string(as_text(*raw));
}

void put_blob(OrderedJson& json, const char* name, const std::optional<std::string>& text) {
  if (text) json[name] = to_base64(as_bytes(*text));
}

OrderedJson json_of(const CopiedImageSetProperties& set) {
  OrderedJson json;
  json["imageSetId"] = set.image_set_id;
  json["latestVersionId"] = set.latest_version_id;
  put(json, "imageSetState", set.image_set_state);
  put(json, "imageSetWorkflowStatus", set.image_set_workflow_status);
  put(json, "createdAt", set.created_at);
  put(json, "updatedAt", set.updated_at);
  put(json, "imageSetArn", set.image_set_arn);
  return json;
}

CopiedImageSetProperties read_copied(const Json& json, std::optional<Error>& error) {
  Fields fields(json, error);
  return {fields.required_text("imageSetId"), fields.required_text("latestVersionId"),
          fields.text("imageSetState"),       fields.text("imageSetWorkflowStatus"),
          fields.time("createdAt"),           fields.time("updatedAt"),
          fields.text("imageSetArn")};
}

}  // namespace

template <>
Result<UpdateImageSetMetadataRequest> parse_request(const Incoming& incoming) {
  Faults faults;
  Parameters parameters(incoming, faults);
  UpdateImageSetMetadataRequest request;
  request.datastore_id = parameters.path("datastoreId", Shape::DatastoreId);
  request.image_set_id = parameters.path("imageSetId", Shape::ImageSetId);
  request.latest_version_id =
      parameters.required_query("latestVersion", Shape::ImageSetExternalVersionId);
  request.force = parameters.query_flag("force");
  request.include_study_image_sets = parameters.query_flag("includeStudyImageSets");
  constexpr const char* kPayload = "updateImageSetMetadataUpdates";
  const Json body = body_of(incoming.body, kPayload, faults);
  Checked members(body, std::string(kPayload) + ".", faults);
  if (const Json* const updates = members.object("DICOMUpdates")) {
    const std::string where = members.where("DICOMUpdates") + ".";
    request.updates = DicomUpdates{read_blob(*updates, "removableAttributes", where, faults),
                                   read_blob(*updates, "updatableAttributes", where, faults)};
  }
  request.revert_to_version_id =
      members.text("revertToVersionId", Shape::ImageSetExternalVersionId);
  const int known =
      int{request.updates.has_value()} + int{request.revert_to_version_id.has_value()};
  if (known != 1 || members.present() != 1) {
    faults.note(validation_error(kPayload, "Exactly one member of the union must be set"));
  }
  return done(std::move(request), faults);
}

template <>
Result<CopyImageSetRequest> parse_request(const Incoming& incoming) {
  Faults faults;
  Parameters parameters(incoming, faults);
  CopyImageSetRequest request;
  request.datastore_id = parameters.path("datastoreId", Shape::DatastoreId);
  request.source_image_set_id = parameters.path("sourceImageSetId", Shape::ImageSetId);
  request.force = parameters.query_flag("force");
  request.promote_to_primary = parameters.query_flag("promoteToPrimary");
  constexpr const char* kPayload = "copyImageSetInformation";
  const Json body = body_of(incoming.body, kPayload, faults);
  Checked members(body, std::string(kPayload) + ".", faults);
  members.require("sourceImageSet");
  if (const Json* const source = members.object("sourceImageSet")) {
    Checked inner(*source, members.where("sourceImageSet") + ".", faults);
    request.source_latest_version_id =
        inner.required_text("latestVersionId", Shape::ImageSetExternalVersionId);
    if (const Json* const copies = inner.object("DICOMCopies")) {
      request.copiable_attributes =
          Checked(*copies, inner.where("DICOMCopies") + ".", faults)
              .required_text("copiableAttributes", Shape::CopiableAttributes);
    }
  }
  if (const Json* const destination = members.object("destinationImageSet")) {
    Checked inner(*destination, members.where("destinationImageSet") + ".", faults);
    request.destination =
        CopyDestination{inner.required_text("imageSetId", Shape::ImageSetId),
                        inner.required_text("latestVersionId", Shape::ImageSetExternalVersionId)};
  }
  return done(std::move(request), faults);
}

template <>
Result<DeleteImageSetRequest> parse_request(const Incoming& incoming) {
  Faults faults;
  Parameters parameters(incoming, faults);
  return done(DeleteImageSetRequest{parameters.path("datastoreId", Shape::DatastoreId),
                                    parameters.path("imageSetId", Shape::ImageSetId)},
              faults);
}

template <>
Result<TagResourceRequest> parse_request(const Incoming& incoming) {
  Faults faults;
  Parameters parameters(incoming, faults);
  TagResourceRequest request;
  request.resource_arn = parameters.path("resourceArn", Shape::Arn);
  const Json body = body_of(incoming.body, nullptr, faults);
  Checked members(body, "", faults);
  members.require("tags");
  read_tags(members, "tags", request.tags, faults);
  return done(std::move(request), faults);
}

template <>
Result<UntagResourceRequest> parse_request(const Incoming& incoming) {
  Faults faults;
  Parameters parameters(incoming, faults);
  return done(UntagResourceRequest{parameters.path("resourceArn", Shape::Arn),
                                   parameters.query_all("tagKeys", Shape::TagKey, kMostTagKeys)},
              faults);
}

template <>
Result<ListTagsForResourceRequest> parse_request(const Incoming& incoming) {
  Faults faults;
  Parameters parameters(incoming, faults);
  return done(ListTagsForResourceRequest{parameters.path("resourceArn", Shape::Arn)}, faults);
}

Call to_call(const UpdateImageSetMetadataRequest& request) {
  OrderedJson body = OrderedJson::object();
  if (request.updates) {
    OrderedJson& updates = body["DICOMUpdates"] = OrderedJson::object();
    put_blob(updates, "removableAttributes", request.updates->removable_attributes);
    put_blob(updates, "updatableAttributes", request.updates->updatable_attributes);
  }
  put(body, "revertToVersionId", request.revert_to_version_id);
  Target target(paths::kUpdateMetadata, {request.datastore_id, request.image_set_id});
  target.with("latestVersion", std::optional(request.latest_version_id))
      .with_flag("force", request.force)
      .with_flag("includeStudyImageSets", request.include_study_image_sets);
  return {"POST", target.text(), dumped(body)};
}

Call to_call(const CopyImageSetRequest& request) {
  OrderedJson body;
  body["sourceImageSet"]["latestVersionId"] = request.source_latest_version_id;
  if (request.copiable_attributes) {
    body["sourceImageSet"]["DICOMCopies"]["copiableAttributes"] = *request.copiable_attributes;
  }
  if (request.destination) {
    body["destinationImageSet"]["imageSetId"] = request.destination->image_set_id;
    body["destinationImageSet"]["latestVersionId"] = request.destination->latest_version_id;
  }
  Target target(paths::kCopyImageSet, {request.datastore_id, request.source_image_set_id});
  target.with_flag("force", request.force)
      .with_flag("promoteToPrimary", request.promote_to_primary);
  return {"POST", target.text(), dumped(body)};
}

Call to_call(const DeleteImageSetRequest& request) {
  return {"POST",
          Target(paths::kDeleteImageSet, {request.datastore_id, request.image_set_id}).text(), ""};
}

Call to_call(const TagResourceRequest& request) {
  OrderedJson body;
  body["tags"] = request.tags;
  return {"POST", Target(paths::kTags, {request.resource_arn}).text(), dumped(body)};
}

Call to_call(const UntagResourceRequest& request) {
  Target target(paths::kTags, {request.resource_arn});
  for (const std::string& key : request.tag_keys) target.with("tagKeys", std::optional(key));
  return {"DELETE", target.text(), ""};
}

Call to_call(const ListTagsForResourceRequest& request) {
  return {"GET", Target(paths::kTags, {request.resource_arn}).text(), ""};
}

std::string print(const UpdateImageSetMetadataResponse& response) {
  OrderedJson json;
  json["datastoreId"] = response.datastore_id;
  json["imageSetId"] = response.image_set_id;
  json["latestVersionId"] = response.latest_version_id;
  json["imageSetState"] = response.image_set_state;
  put(json, "imageSetWorkflowStatus", response.image_set_workflow_status);
  put(json, "createdAt", response.created_at);
  put(json, "updatedAt", response.updated_at);
  put(json, "message", response.message);
  return dumped(json);
}

template <>
Result<UpdateImageSetMetadataResponse> parse_response(std::string_view body) {
  return read_object<UpdateImageSetMetadataResponse>(
      body, "answer of UpdateImageSetMetadata", [](Fields& fields, std::optional<Error>&) {
        return UpdateImageSetMetadataResponse{fields.text("datastoreId").value_or(""),
                                              fields.text("imageSetId").value_or(""),
                                              fields.required_text("latestVersionId"),
                                              fields.required_text("imageSetState"),
                                              fields.text("imageSetWorkflowStatus"),
                                              fields.time("createdAt"),
                                              fields.time("updatedAt"),
                                              fields.text("message")};
      });
}

std::string print(const CopyImageSetResponse& response) {
  OrderedJson json;
  json["datastoreId"] = response.datastore_id;
  json["sourceImageSetProperties"] = json_of(response.source);
  json["destinationImageSetProperties"] = json_of(response.destination);
  return dumped(json);
}

template <>
Result<CopyImageSetResponse> parse_response(std::string_view body) {
  return read_object<CopyImageSetResponse>(
      body, "answer of CopyImageSet", [](Fields& fields, std::optional<Error>& error) {
        return CopyImageSetResponse{
            fields.text("datastoreId").value_or(""),
            read_copied(fields.required_object("sourceImageSetProperties"), error),
            read_copied(fields.required_object("destinationImageSetProperties"), error)};
      });
}

std::string print(const DeleteImageSetResponse& response) {
  OrderedJson json;
  json["datastoreId"] = response.datastore_id;
  json["imageSetId"] = response.image_set_id;
  json["imageSetState"] = response.image_set_state;
  json["imageSetWorkflowStatus"] = response.image_set_workflow_status;
  return dumped(json);
}

template <>
Result<DeleteImageSetResponse> parse_response(std::string_view body) {
  return read_object<DeleteImageSetResponse>(
      body, "answer of DeleteImageSet", [](Fields& fields, std::optional<Error>&) {
        return DeleteImageSetResponse{
            fields.text("datastoreId").value_or(""), fields.text("imageSetId").value_or(""),
            fields.required_text("imageSetState"), fields.required_text("imageSetWorkflowStatus")};
      });
}

std::string print(const TagResourceResponse&) {
  return "{}";
}

template <>
Result<TagResourceResponse> parse_response(std::string_view) {
  return TagResourceResponse{};
}

std::string print(const UntagResourceResponse&) {
  return "{}";
}

template <>
Result<UntagResourceResponse> parse_response(std::string_view) {
  return UntagResourceResponse{};
}

std::string print(const ListTagsForResourceResponse& response) {
  OrderedJson json;
  json["tags"] = response.tags;
  return dumped(json);
}

template <>
Result<ListTagsForResourceResponse> parse_response(std::string_view body) {
  return read_object<ListTagsForResourceResponse>(
      body, "answer of ListTagsForResource", [](Fields& fields, std::optional<Error>&) {
        ListTagsForResourceResponse response;
        for (const auto& [key, value] : fields.object("tags").items()) {
          if (value.is_string()) response.tags[key] = value.get<std::string>();
        }
        return response;
      });
}

}  // namespace isthmus::wire::healthimaging
