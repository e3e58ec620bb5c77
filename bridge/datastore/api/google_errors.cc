#include "datastore/api/google_errors.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace isthmus::datastore {
namespace {

constexpr GoogleStatus kStatuses[] = {
    {"INTERNAL", 500, 13, "backendError"},
    {"INVALID_ARGUMENT", 400, 3, "invalid"},
    {"NOT_FOUND", 404, 5, "notFound"},
    {"ALREADY_EXISTS", 409, 6, "conflict"},
    {"PERMISSION_DENIED", 403, 7, "forbidden"},
    {"RESOURCE_EXHAUSTED", 429, 8, "rateLimitExceeded"},
    {"FAILED_PRECONDITION", 400, 9, "failedPrecondition"},
    {"ABORTED", 409, 10, "aborted"},
    {"UNIMPLEMENTED", 501, 12, "notImplemented"},
    {"UNAVAILABLE", 503, 14, "backendError"},
    {"UNAUTHENTICATED", 401, 16, "authError"},
    {"CONDITION_NOT_MET", 412, 9, "conditionNotMet"},
    {"RANGE_NOT_SATISFIABLE", 416, 11, "requestedRangeNotSatisfiable"},
    {"GONE", 410, 5, "uploadGone"},
    {"PAYLOAD_TOO_LARGE", 413, 3, "uploadTooLarge"},
    {"NOT_ACCEPTABLE", 406, 3, "notAcceptable"},
    {"UNSUPPORTED_MEDIA_TYPE", 415, 3, "unsupportedMediaType"},
};

struct Naming {
  std::string_view code;
  std::string_view status;
};
constexpr Naming kNames[] = {
    {"datastore.no_such_bucket", "NOT_FOUND"},
    {"datastore.no_such_key", "NOT_FOUND"},
    {"datastore.no_such_upload", "NOT_FOUND"},
    {"datastore.no_such_data_store", "NOT_FOUND"},
    {"datastore.no_such_job", "NOT_FOUND"},
    {"datastore.no_such_image_set", "NOT_FOUND"},
    {"datastore.no_such_frame", "NOT_FOUND"},
    {"datastore.bucket_exists", "ALREADY_EXISTS"},
    {"datastore.bucket_not_empty", "ALREADY_EXISTS"},
    {"datastore.condition_failed", "CONDITION_NOT_MET"},
    {"datastore.checksum_mismatch", "INVALID_ARGUMENT"},
    {"datastore.wrong_size", "INVALID_ARGUMENT"},
    {"datastore.too_many_data_stores", "RESOURCE_EXHAUSTED"},
    {"datastore.too_many_jobs", "RESOURCE_EXHAUSTED"},
    {"datastore.too_many_frames", "RESOURCE_EXHAUSTED"},
    {"datastore.full", "UNAVAILABLE"},
    {"datastore.busy", "UNAVAILABLE"},
    {"disk.full", "UNAVAILABLE"},
    {"s3.invalid_range", "RANGE_NOT_SATISFIABLE"},
    // What DICOMweb's handlers say.
    {"ValidationException", "INVALID_ARGUMENT"},
    {"BadRequestException", "INVALID_ARGUMENT"},
    {"ResourceNotFoundException", "NOT_FOUND"},
    {"NotAcceptableException", "NOT_ACCEPTABLE"},
    {"UnsupportedMediaTypeException", "UNSUPPORTED_MEDIA_TYPE"},
    {"RequestEntityTooLargeException", "PAYLOAD_TOO_LARGE"},
    {"ThrottlingException", "RESOURCE_EXHAUSTED"},
    {"pixels.broken", "INVALID_ARGUMENT"},
    {"pixels.unsupported", "NOT_ACCEPTABLE"},
    {"pixels.too_large", "INVALID_ARGUMENT"},
};

}  // namespace

const GoogleStatus& google_status(const Error& error) {
  const auto* const naming =
      std::ranges::find(std::begin(kNames), std::end(kNames), error.code, &Naming::code);
  const std::string_view name = naming == std::end(kNames) ? error.code : naming->status;
  const auto* const status =
      std::ranges::find(std::begin(kStatuses), std::end(kStatuses), name, &GoogleStatus::name);
  return status == std::end(kStatuses) ? kStatuses[0] : *status;
}

http::Response google_refusal(Env& env, const Error& error, std::string_view log_event) {
  using nlohmann::json;
  const GoogleStatus& status = google_status(error);
  std::string message = error.message;
  if (status.name == "INTERNAL") {
    env.log.error(log_event, {{"code", error.code}, {"why", error.message}});
    message = "Internal error encountered.";
  }
  json entry = {{"message", message}, {"domain", "global"}, {"reason", status.reason}};
  if (status.http == 412) entry.update({{"locationType", "header"}, {"location", "If-Match"}});
  if (status.http == 401) entry.update({{"locationType", "header"}, {"location", "Authorization"}});
  json body = {{"code", status.http}, {"message", message}, {"errors", json::array({entry})}};
  // Cloud Storage has no word for these two.
  if (status.http != 412 && status.http != 416) body["status"] = status.name;
  http::Response response = http::text_response(
      status.http, "application/json; charset=UTF-8",
      json{{"error", body}}.dump(-1, ' ', false, json::error_handler_t::replace));
  if (status.http == 401) {
    response.headers.set("WWW-Authenticate", "Bearer realm=\"https://accounts.google.com/\"");
  }
  if (status.http == 503 || status.http == 429) response.headers.set("Retry-After", "1");
  return response;
}

}  // namespace isthmus::datastore
