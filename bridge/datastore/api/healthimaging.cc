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
    {"datastore.token_conflict", "ConflictException"},
    {"datastore.data_store_in_use", "ConflictException"},
    {"datastore.too_many_jobs", "ServiceQuotaExceededException"},
    {"datastore.too_many_data_stores", "ServiceQuotaExceededException"},
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
      parts_(std::move(parts)),
      start_throttle_(env.clock, options.start_jobs_per_second) {
  using Incoming = hi::Incoming;
  route("POST", hi::paths::kDatastores,
        [this](const Incoming& in) { return create_data_store(in); });
  route("GET", hi::paths::kDatastores, [this](const Incoming& in) { return list_data_stores(in); });
  route("GET", hi::paths::kDatastore, [this](const Incoming& in) { return get_data_store(in); });
  route("DELETE", hi::paths::kDatastore,
        [this](const Incoming& in) { return delete_data_store(in); });
  route("POST", hi::paths::kStartImport, [this](const Incoming& in) { return start_import(in); });
  route("GET", hi::paths::kGetImport, [this](const Incoming& in) { return get_import(in); });
  route("GET", hi::paths::kListImports, [this](const Incoming& in) { return list_imports(in); });
  route("POST", hi::paths::kSearch, [this](const Incoming& in) { return search(in); });
  route("POST", hi::paths::kGetImageSet, [this](const Incoming& in) { return get_image_set(in); });
  route("POST", hi::paths::kGetMetadata, [this](const Incoming& in) { return get_metadata(in); });
  route("POST", hi::paths::kListVersions, [this](const Incoming& in) { return list_versions(in); });
  router_.on_not_found([this](const http::Head&, const http::PathParameters&) {
    http::Response response =
        refusal(permanent_error("UnknownOperationException", "There is no such operation."),
                make_id_text(env_));
    response.status = 404;
    return http::answer_with(std::move(response));
  });
}

void HealthImagingApi::route(std::string method, std::string_view path_template, Action action) {
  router_.add(
      std::move(method), std::string(path_template),
      [this, action = std::move(action)](const http::Head& head, const http::PathParameters& path) {
        return http::gather(kMostBodyBytes, [this, action, head, path](std::string body) {
          return answer(head, path, body, action);
        });
      });
}

std::unique_ptr<http::Exchange> HealthImagingApi::open(const http::Head& head) {
  return router_.open(head);
}

bool HealthImagingApi::claims_path(std::string_view path) {
  return std::ranges::any_of(
      std::initializer_list<std::string_view>{"/datastore", "/startDICOMImportJob",
                                              "/getDICOMImportJob", "/listDICOMImportJobs"},
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

http::Response HealthImagingApi::answer(const http::Head& head, const http::PathParameters& path,
                                        const std::string& body, const Action& action) {
  const std::string request_id = make_id_text(env_);
  if (const Result<void> admitted = admit(head, body); !admitted) {
    return refusal(admitted.error(), request_id);
  }
  Answer made = action(hi::Incoming{path, head.query(), body});
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

std::string HealthImagingApi::data_store_arn(const std::string& data_store) const {
  return "arn:aws:medical-imaging:" + region_ + ":" + account_id_ + ":datastore/" + data_store;
}

}  // namespace isthmus::datastore
