// The operations that change image sets, and tags: from the request's members to the engine and
// back.
#include <charconv>

#include "datastore/api/healthimaging.h"

namespace isthmus::datastore {

namespace hi = wire::healthimaging;

namespace {

http::Response json_response(std::string body) {
  return http::text_response(200, "application/json", std::move(body));
}

// Digits, as the pattern wants. More than any version has is not the latest of any set.
std::int64_t number_of(const std::string& version) {
  std::int64_t number = 0;
  const auto [end, failure] =
      std::from_chars(version.data(), version.data() + version.size(), number);
  return failure == std::errc{} && end == version.data() + version.size() ? number : -1;
}

// Of an ARN that has the model's form: …:datastore/<id>[/imageset/<id>].
TaggedResource resource_of(const std::string& arn) {
  constexpr std::string_view kStore = ":datastore/";
  constexpr std::string_view kSet = "/imageset/";
  constexpr std::size_t kIdLength = 32;
  const std::size_t store = arn.find(kStore) + kStore.size();
  const std::size_t set = arn.find(kSet);
  return {arn.substr(store, kIdLength),
          set == std::string::npos ? "" : arn.substr(set + kSet.size(), kIdLength)};
}

}  // namespace

hi::CopiedImageSetProperties HealthImagingApi::copied(const std::string& data_store,
                                                      const ImageSetVersionRecord& record) const {
  hi::CopiedImageSetProperties properties;
  properties.image_set_id = record.image_set;
  properties.latest_version_id = std::to_string(record.version);
  properties.image_set_state = record.state;
  properties.image_set_workflow_status = record.workflow_status;
  properties.created_at = record.created_at;
  properties.updated_at = record.updated_at;
  properties.image_set_arn = data_store_arn(data_store) + "/imageset/" + record.image_set;
  return properties;
}

HealthImagingApi::Answer HealthImagingApi::update_metadata(const hi::Incoming& incoming) {
  TRY_ASSIGN(const auto request, hi::parse_request<hi::UpdateImageSetMetadataRequest>(incoming));
  UpdateOrder order;
  order.data_store = request.datastore_id;
  order.image_set = request.image_set_id;
  order.latest_version = number_of(request.latest_version_id);
  order.forced = request.force.value_or(false);
  order.include_study = request.include_study_image_sets.value_or(false);
  if (request.updates) {
    order.removable = request.updates->removable_attributes;
    order.updatable = request.updates->updatable_attributes;
  }
  if (request.revert_to_version_id) order.revert_to = number_of(*request.revert_to_version_id);
  TRY_ASSIGN(const ImageSetVersionRecord accepted, parts_.changes.update(order));
  hi::UpdateImageSetMetadataResponse response;
  response.datastore_id = request.datastore_id;
  response.image_set_id = accepted.image_set;
  response.latest_version_id = std::to_string(accepted.version);
  response.image_set_state = accepted.state;
  response.image_set_workflow_status = accepted.workflow_status;
  response.created_at = accepted.created_at;
  response.updated_at = accepted.updated_at;
  return json_response(hi::print(response));
}

HealthImagingApi::Answer HealthImagingApi::copy_image_set(const hi::Incoming& incoming) {
  TRY_ASSIGN(const auto request, hi::parse_request<hi::CopyImageSetRequest>(incoming));
  CopyOrder order;
  order.data_store = request.datastore_id;
  order.source = request.source_image_set_id;
  order.source_version = number_of(request.source_latest_version_id);
  order.copiable = request.copiable_attributes;
  if (request.destination) {
    order.destination = request.destination->image_set_id;
    order.destination_version = number_of(request.destination->latest_version_id);
  }
  order.forced = request.force.value_or(false);
  order.promote = request.promote_to_primary.value_or(false);
  TRY_ASSIGN(const CopyAccepted accepted, parts_.changes.copy(order));
  return json_response(hi::print(
      hi::CopyImageSetResponse{request.datastore_id, copied(request.datastore_id, accepted.source),
                               copied(request.datastore_id, accepted.destination)}));
}

HealthImagingApi::Answer HealthImagingApi::delete_image_set(const hi::Incoming& incoming) {
  TRY_ASSIGN(const auto request, hi::parse_request<hi::DeleteImageSetRequest>(incoming));
  const Result<ImageSetVersionRecord> accepted =
      parts_.changes.remove(request.datastore_id, request.image_set_id);
  if (!accepted && accepted.error().code == "datastore.too_many_changes") {
    // The model gives this operation no ServiceQuotaExceededException.
    return transient_error("ThrottlingException", accepted.error().message);
  }
  TRY(accepted);
  return json_response(hi::print(hi::DeleteImageSetResponse{
      request.datastore_id, accepted->image_set, accepted->state, accepted->workflow_status}));
}

HealthImagingApi::Answer HealthImagingApi::tag_resource(const hi::Incoming& incoming) {
  TRY_ASSIGN(const auto request, hi::parse_request<hi::TagResourceRequest>(incoming));
  TRY(parts_.tags.add(resource_of(request.resource_arn), request.tags));
  return json_response(hi::print(hi::TagResourceResponse{}));
}

HealthImagingApi::Answer HealthImagingApi::untag_resource(const hi::Incoming& incoming) {
  TRY_ASSIGN(const auto request, hi::parse_request<hi::UntagResourceRequest>(incoming));
  TRY(parts_.tags.remove(resource_of(request.resource_arn), request.tag_keys));
  return json_response(hi::print(hi::UntagResourceResponse{}));
}

HealthImagingApi::Answer HealthImagingApi::list_tags(const hi::Incoming& incoming) {
  TRY_ASSIGN(const auto request, hi::parse_request<hi::ListTagsForResourceRequest>(incoming));
  TRY_ASSIGN(TagMap tags, parts_.tags.list(resource_of(request.resource_arn)));
  return json_response(hi::print(hi::ListTagsForResourceResponse{std::move(tags)}));
}

}  // namespace isthmus::datastore
