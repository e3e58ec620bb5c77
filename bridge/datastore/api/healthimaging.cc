#include "datastore/api/healthimaging.h"

#include <algorithm>

namespace isthmus::datastore {

namespace hi = wire::healthimaging;

namespace {

// 1,000 metadata mappings with names of 1,024 characters and two UIDs fit well.
constexpr std::uint64_t kMostBodyBytes = 4 * MiB;

struct Naming {
  std::string_view code;
  std::string_view type;
};
constexpr Naming kNames[] = {
    {"datastore.no_such_data_store", "ResourceNotFoundException"},
    {"datastore.no_such_job", "ResourceNotFoundException"},
    {"datastore.no_such_image_set", "ResourceNotFoundException"},
    {"datastore.not_latest", "ResourceNotFoundException"},
    {"datastore.no_such_frame", "ResourceNotFoundException"},
    {"datastore.too_many_frames", "ThrottlingException"},
    {"pixels.broken", "BadRequestException"},
    {"pixels.unsupported", "BadRequestException"},
    {"pixels.too_large", "BadRequestException"},
    {"datastore.token_conflict", "ConflictException"},
    {"datastore.data_store_in_use", "ConflictException"},
    {"datastore.image_set_locked", "ConflictException"},
    {"datastore.change_refused", "ValidationException"},
    {"datastore.too_many_tags", "ValidationException"},
    {"datastore.too_many_changes", "ServiceQuotaExceededException"},
    {"datastore.change_too_large", "ServiceQuotaExceededException"},
    {"datastore.too_many_jobs", "ServiceQuotaExceededException"},
    {"datastore.too_many_data_stores", "ServiceQuotaExceededException"},
};

struct Rate {
  std::string_view operation;
  double per_second, burst;
};
// contracts/healthimaging/quotas.json, "throttling".
constexpr Rate kRates[] = {
    {"CreateDatastore", 0.085, 1},
    {"GetDatastore", 10, 20},
    {"ListDatastores", 5, 10},
    {"DeleteDatastore", 0.085, 1},
    {"StartDICOMImportJob", 1, 2},
    {"GetDICOMImportJob", 25, 50},
    {"ListDICOMImportJobs", 10, 20},
    {"SearchImageSets", 25, 50},
    {"GetImageSet", 25, 50},
    {"GetImageSetMetadata", 50, 100},
    {"GetImageFrame", 1000, 2000},
    {"ListImageSetVersions", 25, 50},
    {"UpdateImageSetMetadata", 0.25, 1},
    {"CopyImageSet", 0.25, 1},
    {"DeleteImageSet", 0.25, 1},
    {"TagResource", 10, 20},
    {"ListTagsForResource", 10, 20},
    {"UntagResource", 10, 20},
};

// The model's name of an error. A signature that does not hold is AccessDeniedException: the one of
// its names that clients know as a type.
std::string type_of(const Error& error) {
  for (const Naming& naming : kNames) {
    if (naming.code == error.code) return std::string(naming.type);
  }
  if (error.code.starts_with("sigv4.")) return "AccessDeniedException";
  return error.code.find('.') == std::string::npos ? error.code : "InternalServerException";
}

}  // namespace

HealthImagingApi::HealthImagingApi(Env& env, const Gate& gate, const DataStoreOptions& options,
                                   Parts parts)
    : env_(env),
      gate_(gate),
      region_(options.region),
      account_id_(options.account_id),
      archive_after_(options.archive_after),
      throttled_(options.throttled),
      start_jobs_per_second_(options.start_jobs_per_second),
      parts_(std::move(parts)) {
  route("POST", hi::paths::kDatastores, "CreateDatastore", &HealthImagingApi::create_data_store);
  route("GET", hi::paths::kDatastores, "ListDatastores", &HealthImagingApi::list_data_stores);
  route("GET", hi::paths::kDatastore, "GetDatastore", &HealthImagingApi::get_data_store);
  route("DELETE", hi::paths::kDatastore, "DeleteDatastore", &HealthImagingApi::delete_data_store);
  route("POST", hi::paths::kStartImport, "StartDICOMImportJob", &HealthImagingApi::start_import);
  route("GET", hi::paths::kGetImport, "GetDICOMImportJob", &HealthImagingApi::get_import);
  route("GET", hi::paths::kListImports, "ListDICOMImportJobs", &HealthImagingApi::list_imports);
  route("POST", hi::paths::kSearch, "SearchImageSets", &HealthImagingApi::search);
  route("POST", hi::paths::kGetImageSet, "GetImageSet", &HealthImagingApi::get_image_set);
  route("POST", hi::paths::kGetMetadata, "GetImageSetMetadata", &HealthImagingApi::get_metadata);
  route("POST", hi::paths::kGetFrame, "GetImageFrame", &HealthImagingApi::get_frame);
  route("POST", hi::paths::kListVersions, "ListImageSetVersions", &HealthImagingApi::list_versions);
  route("POST", hi::paths::kUpdateMetadata, "UpdateImageSetMetadata",
        &HealthImagingApi::update_metadata);
  route("POST", hi::paths::kCopyImageSet, "CopyImageSet", &HealthImagingApi::copy_image_set);
  route("POST", hi::paths::kDeleteImageSet, "DeleteImageSet", &HealthImagingApi::delete_image_set);
  route("POST", hi::paths::kTags, "TagResource", &HealthImagingApi::tag_resource);
  route("DELETE", hi::paths::kTags, "UntagResource", &HealthImagingApi::untag_resource);
  route("GET", hi::paths::kTags, "ListTagsForResource", &HealthImagingApi::list_tags);
  router_.add("GET", "/events", [this](const http::Head& head, const http::PathParameters&) {
    return http::gather(kMostBodyBytes,
                        [this, head](std::string body) { return answer_events(head, body); });
  });
  router_.on_not_found([this](const http::Head&, const http::PathParameters&) {
    http::Response response =
        refusal(permanent_error("UnknownOperationException", "There is no such operation."),
                make_id_text(env_));
    response.status = 404;
    return http::answer_with(std::move(response));
  });
}

void HealthImagingApi::route(std::string method, std::string_view path_template,
                             std::string_view operation, Operation action) {
  Throttle* const throttle = throttles_.emplace_back(make_throttle(operation)).get();
  router_.add(std::move(method), std::string(path_template),
              [this, action, throttle](const http::Head& head, const http::PathParameters& path) {
                return http::gather(kMostBodyBytes,
                                    [this, action, throttle, head, path](std::string body) {
                                      return answer(head, path, body, action, *throttle);
                                    });
              });
}

std::unique_ptr<Throttle> HealthImagingApi::make_throttle(std::string_view operation) const {
  double per_second = 0, burst = 0;
  for (const Rate& rate : kRates) {
    if (throttled_ && rate.operation == operation) {
      per_second = rate.per_second;
      burst = rate.burst;
    }
  }
  if (operation == "StartDICOMImportJob" && start_jobs_per_second_ > 0) {
    per_second = start_jobs_per_second_;
    burst = 0;
  }
  return std::make_unique<Throttle>(env_.clock, per_second, burst);
}

std::unique_ptr<http::Exchange> HealthImagingApi::open(const http::Head& head) {
  return router_.open(head);
}

bool HealthImagingApi::claims_path(std::string_view path) {
  return std::ranges::any_of(
      std::initializer_list<std::string_view>{"/datastore", "/startDICOMImportJob",
                                              "/getDICOMImportJob", "/listDICOMImportJobs",
                                              "/tags"},
      [&](std::string_view first) {
        return path.starts_with(first) &&
               (path.size() == first.size() || path[first.size()] == '/');
      });
}

// Without x-amz-content-sha256, which these clients need not send, the body's own hash is what was
// signed; with it, the body must have that hash.
Result<void> HealthImagingApi::admit(const http::Head& head, const std::string& body) {
  const std::string actual = sha256(body).hex();
  const auto claimed = head.headers.find("x-amz-content-sha256");
  TRY(gate_.admit(head, hi::kSigningName, claimed.value_or(actual)));
  if (claimed && *claimed != actual && *claimed != wire::sigv4::kUnsignedPayload) {
    return permanent_error("sigv4.mismatch", "The body is not the one that was signed.");
  }
  return {};
}

Result<void> HealthImagingApi::allow(const http::Head& head, const http::PathParameters& path,
                                     const std::string& body) {
  const AccessKey* const key = gate_.key_of(head);
  if (key == nullptr || key->data_store.empty()) return {};
  const Error refused = permanent_error("sigv4.not_allowed",
                                        "This access key is for one data store and its buckets.");
  std::string id;
  if (const auto named = path.find("datastoreId"); named != path.end()) id = named->second;
  if (const auto arn = path.find("resourceArn"); arn != path.end()) {
    constexpr std::string_view kStore = ":datastore/";
    const std::size_t at = arn->second.find(kStore);
    if (at != std::string::npos) id = arn->second.substr(at + kStore.size(), 32);
  }
  const Result<DataStoreRecord> store = parts_.data_stores.find(id);
  if (!store || (store->id != key->data_store && store->name != key->data_store)) return refused;
  if (!head.path().starts_with("/startDICOMImportJob/")) return {};
  const Result<hi::StartDICOMImportJobRequest> request =
      hi::parse_request<hi::StartDICOMImportJobRequest>({path, head.query(), body});
  if (!request) return {};  // refused for what it is
  for (const std::string* uri : {&request->input_s3_uri, &request->output_s3_uri}) {
    const auto place = hi::parse_s3_uri(*uri);
    if (!place || std::ranges::find(key->buckets, place->bucket) == key->buckets.end()) {
      return refused;
    }
  }
  return {};
}

http::Response HealthImagingApi::answer(const http::Head& head, const http::PathParameters& path,
                                        const std::string& body, Operation action,
                                        Throttle& throttle) {
  const std::string request_id = make_id_text(env_);
  if (const Result<void> admitted = admit(head, body); !admitted) {
    return refusal(admitted.error(), request_id);
  }
  if (const Result<void> allowed = allow(head, path, body); !allowed) {
    return refusal(allowed.error(), request_id);
  }
  if (!throttle.pass()) {
    return refusal(transient_error("ThrottlingException", "Rate exceeded."), request_id);
  }
  Answer made = (this->*action)(hi::Incoming{path, head.query(), body});
  if (!made) return refusal(made.error(), request_id);
  made->headers.set(hi::kRequestIdHeader, request_id);
  return std::move(*made);
}

http::Response HealthImagingApi::refusal(const Error& error, const std::string& request_id) {
  hi::ErrorBody body{type_of(error), error.message};
  if (body.type == "InternalServerException") {
    env_.log.error("datastore.healthimaging_failed",
                   {{"request", request_id}, {"code", error.code}, {"why", error.message}});
    body.message = "An unexpected error occurred: try again.";
  }
  http::Response response =
      http::text_response(hi::status_of(body.type), "application/json", hi::print(body));
  response.headers.set(hi::kErrorTypeHeader, body.type);
  response.headers.set(hi::kRequestIdHeader, request_id);
  return response;
}

// Read or changed lately, or not (developer guide: 30 days).
std::string HealthImagingApi::storage_tier(WallTime updated_at,
                                           std::optional<WallTime> accessed_at) const {
  const WallTime last = std::max(updated_at, accessed_at.value_or(updated_at));
  const bool idle = archive_after_.count() > 0 && env_.clock.wall_now() - last >= archive_after_;
  return idle ? "ARCHIVE_INSTANT_ACCESS" : "FREQUENT_ACCESS";
}

std::string HealthImagingApi::data_store_arn(const std::string& data_store) const {
  return "arn:aws:medical-imaging:" + region_ + ":" + account_id_ + ":datastore/" + data_store;
}

}  // namespace isthmus::datastore
