#include "datastore/api/dicomweb_face.h"

#include <algorithm>

#include "base/ids.h"
#include "datastore/api/google_errors.h"
#include "wire/healthimaging.h"
#include "wire/multipart.h"

namespace isthmus::datastore {

namespace hi = wire::healthimaging;

namespace {

struct Naming {
  std::string_view code;
  std::string_view type;
};
constexpr Naming kNames[] = {
    {"datastore.no_such_data_store", "ResourceNotFoundException"},
    {"datastore.no_such_image_set", "ResourceNotFoundException"},
    {"datastore.no_such_frame", "ResourceNotFoundException"},
    {"datastore.too_many_frames", "ThrottlingException"},
    {"pixels.broken", "BadRequestException"},
    {"pixels.unsupported", "NotAcceptableException"},
    {"pixels.too_large", "BadRequestException"},
};

std::string type_of(const Error& error) {
  for (const Naming& naming : kNames) {
    if (naming.code == error.code) return std::string(naming.type);
  }
  if (error.code.starts_with("sigv4.") || error.code.starts_with("auth.jwt_")) {
    return "AccessDeniedException";
  }
  return error.code.find('.') == std::string::npos ? error.code : "InternalServerException";
}

// Two that the service model does not have.
int status_of(std::string_view type) {
  if (type == "UnsupportedMediaTypeException") return 415;
  if (type == "RequestEntityTooLargeException") return 413;
  return hi::status_of(type);
}

Error not_allowed() {
  return permanent_error("sigv4.not_allowed", "This access key is for another data store.");
}

std::string parameter(const http::PathParameters& path, const char* name) {
  const auto found = path.find(name);
  return found == path.end() ? "" : found->second;
}

Result<std::string> study_of(const http::PathParameters& path) {
  std::string study = parameter(path, "study");
  const bool uid = study.size() <= 64 && std::ranges::all_of(study, [](char c) {
                     return (c >= '0' && c <= '9') || c == '.';
                   });
  if (uid) return study;
  return permanent_error("ValidationException", "The study in the path is no UID.");
}

std::string google_name(const http::PathParameters& path) {
  return "projects/" + parameter(path, "project") + "/locations/" + parameter(path, "location") +
         "/datasets/" + parameter(path, "dataset") + "/dicomStores/" + parameter(path, "store");
}

}  // namespace

bool HealthImagingWeb::claims_path(std::string_view path) {
  constexpr std::string_view kStores = "/datastore/";
  if (!path.starts_with(kStores)) return false;
  path.remove_prefix(kStores.size());
  path.remove_prefix(std::min(path.find('/'), path.size()));
  return std::ranges::any_of(
      std::initializer_list<std::string_view>{"/studies", "/series", "/instances"},
      [&](std::string_view first) {
        return path.starts_with(first) &&
               (path.size() == first.size() || path[first.size()] == '/');
      });
}

Result<DataStoreRecord> HealthImagingWeb::admit(const http::Head& head,
                                                const http::PathParameters& path,
                                                const std::string& body_hash) const {
  if (oidc_.claims(head)) {
    TRY(oidc_.admit(*bearer_token(head)));
    return data_stores_.find(parameter(path, "store"));
  }
  TRY(gate_.admit(head, hi::kSigningName, head.headers.get("x-amz-content-sha256", body_hash)));
  TRY_ASSIGN(DataStoreRecord store, data_stores_.find(parameter(path, "store")));
  if (!allowed(head, store)) return not_allowed();
  return store;
}

// A key may be for one data store.
bool HealthImagingWeb::allowed(const http::Head& head, const DataStoreRecord& store) const {
  const AccessKey* const key = gate_.key_of(head);
  return key == nullptr || key->data_store.empty() || store.id == key->data_store ||
         store.name == key->data_store;
}

std::string HealthImagingWeb::base_url(const http::Head&, const http::PathParameters& path) const {
  return "/datastore/" + parameter(path, "store");
}

QueryLimits HealthImagingWeb::limits(QueryLevel) const {
  return {1000, 1000};  // quotas.json
}

Result<Stow::Order> HealthImagingWeb::order(const http::Head& head,
                                            const http::PathParameters& path) const {
  Stow::Order order;
  TRY_ASSIGN(order.study, study_of(path));
  order.data_store = parameter(path, "store");
  order.base_url = base_url(head, path);
  if (oidc_.claims(head)) {
    TRY(admit(head, path, ""));
    order.admitted = true;
    return order;
  }
  const AccessKey* const key = gate_.key_of(head);
  if (key != nullptr && !key->data_store.empty()) {
    const auto there = data_stores_.find(order.data_store);
    if (!there || !allowed(head, *there)) return not_allowed();
  }
  // Whether there is such a data store is nobody's business who has not signed: the job finds out.
  return order;
}

http::Response HealthImagingWeb::refusal(const Error& error) const {
  hi::ErrorBody body{type_of(error), error.message};
  if (body.type == "InternalServerException") {
    env_.log.error("datastore.dicomweb_failed", {{"code", error.code}, {"why", error.message}});
    body.message = "An unexpected error occurred: try again.";
  }
  http::Response response =
      http::text_response(status_of(body.type), "application/json", hi::print(body));
  response.headers.set(hi::kErrorTypeHeader, body.type);
  return response;
}

void HealthImagingWeb::complete(http::Response& response) const {
  response.headers.set(hi::kRequestIdHeader, make_id_text(env_));
}

bool GoogleWeb::claims_path(std::string_view path) {
  return (path.starts_with("/v1/projects/") || path.starts_with("/v1beta1/projects/")) &&
         path.find("/dicomWeb/") != std::string_view::npos && !path.ends_with(":getStudyMetrics") &&
         !path.ends_with(":getSeriesMetrics");
}

std::vector<std::string> GoogleWeb::roots() const {
  const std::string below =
      "projects/{project}/locations/{location}/datasets/{dataset}/dicomStores/{store}/dicomWeb";
  return {"/v1/" + below, "/v1beta1/" + below};
}

Result<DataStoreRecord> GoogleWeb::admit(const http::Head& head, const http::PathParameters& path,
                                         const std::string&) const {
  TRY(tokens_.admit(head));
  TRY_ASSIGN(const GoogleStore store, stores_.store(google_name(path)));
  return data_stores_.find(store.data_store);
}

std::string GoogleWeb::base_url(const http::Head& head, const http::PathParameters& path) const {
  const std::string version = head.path().starts_with("/v1beta1/") ? "v1beta1" : "v1";
  return "http://" + std::string(head.headers.get("Host", "localhost")) + "/" + version + "/" +
         google_name(path) + "/dicomWeb";
}

// contracts/google-healthcare section 6.
QueryLimits GoogleWeb::limits(QueryLevel level) const {
  if (level == QueryLevel::instance) return {1000, 50'000};
  return {100, 5000};
}

Result<Stow::Order> GoogleWeb::order(const http::Head& head,
                                     const http::PathParameters& path) const {
  TRY_ASSIGN(const DataStoreRecord store, admit(head, path, ""));
  Stow::Order order;
  TRY_ASSIGN(order.study, study_of(path));
  order.data_store = store.id;
  order.base_url = base_url(head, path);
  order.admitted = true;
  order.google = true;
  order.most_bytes = most_store_bytes_;
  // XML unless JSON is asked for; of both, the one that is liked better.
  for (const wire::AcceptedType& one : wire::parse_accept(head.headers.get("Accept", "*/*"))) {
    const std::string& type = one.media.type;
    order.json = type == "application/dicom+json" || type == "application/json";
    if (order.json || type == "*/*" || type == "application/*" || type == "application/dicom+xml") {
      return order;
    }
  }
  return permanent_error("NOT_ACCEPTABLE", "Accept must take application/dicom+xml or +json.");
}

http::Response GoogleWeb::refusal(const Error& error) const {
  return google_refusal(env_, error, "datastore.healthcare_failed");
}

}  // namespace isthmus::datastore
