#include "datastore/api/google_identity.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "datastore/api/google_errors.h"

namespace isthmus::datastore {
namespace {

constexpr std::string_view kRoot = "/computeMetadata/";
constexpr std::string_view kFlavor = "Metadata-Flavor";
constexpr std::string_view kAccounts = "/computeMetadata/v1/instance/service-accounts/";

constexpr std::string_view kJwtGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
constexpr std::uint64_t kMostFormBytes = 32 * KiB;

bool is_token_request(const http::Head& head) {
  return head.method == "POST" && (head.path() == "/token" || head.path() == "/oauth2/v4/token") &&
         head.headers.get("Content-Type").starts_with("application/x-www-form-urlencoded");
}

std::string field_of(std::string form, const std::string& name) {
  std::ranges::replace(form, '+', ' ');
  for (const auto& [key, value] : http::parse_query(form)) {
    if (key == name) return value;
  }
  return {};
}

http::Response grant_refused(const char* error, std::string description) {
  const nlohmann::json body = {{"error", error}, {"error_description", std::move(description)}};
  http::Response response = http::text_response(400, "application/json", body.dump());
  response.headers.set("Cache-Control", "no-store");
  return response;
}

bool is_loopback(std::string_view address) {
  return address.starts_with("127.") || address == "::1" || address.starts_with("::ffff:127.");
}

http::Response text(std::string body) {
  return http::text_response(200, "application/text", std::move(body));
}

}  // namespace

bool GoogleIdentity::claims(const http::Head& head) {
  return head.path().starts_with(kRoot) || head.headers.contains(kFlavor) || is_token_request(head);
}

std::unique_ptr<http::Exchange> GoogleIdentity::open(const http::Head& head) {
  if (is_token_request(head)) {
    return http::gather(kMostFormBytes,
                        [this, head](const std::string& form) { return grant(head, form); });
  }
  Result<http::Response> made = answer(head);
  http::Response response =
      made ? std::move(*made) : google_refusal(env_, made.error(), "datastore.metadata_failed");
  response.headers.set(kFlavor, "Google");
  response.headers.set("Server", "Metadata Server for VM");
  return http::answer_with(std::move(response));
}

Result<http::Response> GoogleIdentity::answer(const http::Head& head) {
  if (!options_.metadata_server) {
    return permanent_error("NOT_FOUND", "There is no metadata server here.");
  }
  if (!is_loopback(head.peer_address)) {
    return permanent_error("PERMISSION_DENIED", "The metadata server answers this machine only.");
  }
  // Headers that a browser or a proxy sends give a request away that was not meant ("Querying
  // metadata", Compute Engine documentation).
  if (head.headers.get(kFlavor) != "Google" || head.headers.contains("X-Forwarded-For")) {
    return permanent_error("PERMISSION_DENIED", "Metadata-Flavor: Google is missing.");
  }
  if (head.method != "GET") return permanent_error("INVALID_ARGUMENT", "Only GET is answered.");
  std::string_view path = head.path();
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  if (path == "/") return text("computeMetadata/\n");
  if (path == "/computeMetadata/v1/instance") return text("service-accounts/\n");
  if (path == "/computeMetadata/v1/project/project-id") return text(options_.project_id);
  if (path == "/computeMetadata/v1/project/numeric-project-id") return text("1");
  if (path == "/computeMetadata/v1/universe/universe-domain") return text("googleapis.com");
  if (path == kAccounts.substr(0, kAccounts.size() - 1)) return text("default/\n");
  if (path.starts_with(kAccounts)) return service_account(path.substr(kAccounts.size()));
  return permanent_error("NOT_FOUND", "There is no such entry.");
}

Result<http::Response> GoogleIdentity::service_account(std::string_view what) {
  using nlohmann::json;
  const std::string email = "default@" + options_.project_id + ".iam.gserviceaccount.com";
  const std::string_view name = what.substr(0, what.find('/'));
  if (name != "default" && name != email) {
    return permanent_error("NOT_FOUND", "There is no such service account.");
  }
  what.remove_prefix(std::min(name.size() + 1, what.size()));
  const std::string scope = "https://www.googleapis.com/auth/cloud-platform";
  if (what.empty()) {
    const json account = {{"aliases", {"default"}}, {"email", email}, {"scopes", {scope}}};
    return http::text_response(200, "application/json", account.dump());
  }
  if (what == "email") return text(email);
  if (what == "scopes") return text(scope + "\n");
  if (what != "token") return permanent_error("NOT_FOUND", "There is no such entry.");
  TRY_ASSIGN(std::string body, token_answer());
  return http::text_response(200, "application/json", std::move(body));
}

Result<std::string> GoogleIdentity::token_answer() {
  TRY_ASSIGN(const std::string token, tokens_.issue());
  const nlohmann::json body = {{"access_token", token},
                               {"expires_in", GoogleTokens::kGoodFor.count() - 1},
                               {"token_type", "Bearer"}};
  return body.dump();
}

http::Response GoogleIdentity::grant(const http::Head& head, const std::string& form) {
  if (field_of(form, "grant_type") != kJwtGrant) {
    return grant_refused("unsupported_grant_type", "Only JWT grants are taken.");
  }
  const Result<void> verified =
      account_.verify_grant(field_of(form, "assertion"), head.headers.get("Host"));
  if (!verified) return grant_refused("invalid_grant", verified.error().message);
  const Result<std::string> body = token_answer();
  if (!body) return google_refusal(env_, body.error(), "datastore.token_failed");
  http::Response response = http::text_response(200, "application/json", *body);
  response.headers.set("Cache-Control", "no-store");
  return response;
}

}  // namespace isthmus::datastore
