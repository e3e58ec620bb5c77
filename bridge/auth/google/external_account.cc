// Workload identity federation (AIP-4117): a token of another identity provider is exchanged for
// one of Google's (RFC 8693), which may then speak for a service account.
#include <algorithm>

#include "auth/google/provider.h"
#include "base/digest.h"

namespace isthmus::google {
namespace {

using nlohmann::json;

constexpr const char* kSource = "workload identity federation";
constexpr const char* kStsUri = "https://sts.googleapis.com/v1/token";
constexpr const char* kCloudPlatform = "https://www.googleapis.com/auth/cloud-platform";
constexpr const char* kExchange = "urn:ietf:params:oauth:grant-type:token-exchange";
constexpr const char* kAccessToken = "urn:ietf:params:oauth:token-type:access_token";
constexpr const char* kSaml = "urn:ietf:params:oauth:token-type:saml2";
constexpr const char* kAllowPrograms = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES";
constexpr std::int64_t kLifetimeSeconds = 3600;
constexpr std::uint64_t kMostTokenBytes = 64 * KiB;

Error problem(const std::string& why) {
  return no_credentials(kSource, why);
}

const json& member(const json& object, const char* name) {
  static const json kNone = json::object();
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : kNone;
}

// "format": the token as it is, or a member of a JSON document.
Result<std::string> token_in(const json& source, std::string text) {
  const json& format = member(source, "format");
  if (text_in(format, "type") == "json") {
    const json document = json::parse(text, nullptr, false);
    const std::string field = text_in(format, "subject_token_field_name");
    if (!document.is_object() || text_in(document, field.c_str()).empty()) {
      return problem("what holds the subject token is no JSON with subject_token_field_name.");
    }
    return text_in(document, field.c_str());
  }
  const auto is_space = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  while (!text.empty() && is_space(text.back())) text.pop_back();
  if (text.empty()) return problem("the subject token is empty.");
  return text;
}

Result<std::string> token_by_file(Means& means, const json& source) {
  auto text = read_file(means.env, text_in(source, "file"));
  if (!text.ok()) return problem("the subject token's file cannot be read.");
  return token_in(source, std::move(*text));
}

Result<std::string> token_by_url(Means& means, const json& source) {
  http::Request request;
  request.url = text_in(source, "url");
  const json& headers = member(source, "headers");
  for (const auto& [name, value] : headers.items()) {
    if (value.is_string()) request.headers.set(name, value.get<std::string>());
  }
  auto response = means.local().send(std::move(request));
  if (!response.ok()) return problem(response.error().message);
  if (response->status != 200 || !response->body) {
    return problem("the subject token's URL answered " + std::to_string(response->status) + ".");
  }
  auto text = read_all(*response->body, kMostTokenBytes);
  if (!text.ok()) return problem("the subject token's URL answered too much.");
  return token_in(source, std::move(*text));
}

// AIP-4117, "executable": {version, success, token_type, id_token or saml_response}.
Result<std::string> token_by_program(Means& means, const json& program) {
  if (means.variable(kAllowPrograms) != "1" || !means.options.run) {
    return problem(std::string("its program may run only with ") + kAllowPrograms + "=1.");
  }
  std::vector<std::string> words;
  const std::string command = text_in(program, "command");
  for (std::size_t at = 0; at < command.size();) {
    const std::size_t end = std::min(command.find(' ', at), command.size());
    if (end > at) words.push_back(command.substr(at, end - at));
    at = end + 1;
  }
  if (words.empty()) return problem("its program has no command.");
  const auto printed = means.options.run(words);
  if (!printed.ok()) return problem(printed.error().message);
  const json answer = json::parse(*printed, nullptr, false);
  if (!answer.is_object() || answer.value("success", json()) != json(true)) {
    return problem("its program did not print a token.");
  }
  const std::string token =
      text_in(answer, text_in(answer, "token_type") == kSaml ? "saml_response" : "id_token");
  if (token.empty()) return problem("its program did not print a token.");
  return token;
}

Result<std::string> subject_token(Means& means, const json& document) {
  const json& source = member(document, "credential_source");
  if (!text_in(source, "file").empty()) return token_by_file(means, source);
  if (source.contains("executable")) return token_by_program(means, member(source, "executable"));
  if (text_in(source, "environment_id").empty() && !text_in(source, "url").empty()) {
    return token_by_url(means, source);
  }
  return problem(
      "credential_source must be a file, a url or an executable; identities of AWS and of "
      "certificates are not supported.");
}

std::int64_t lifetime_of(const json& document) {
  const json& wishes = member(document, "service_account_impersonation");
  const auto found = wishes.find("token_lifetime_seconds");
  return found != wishes.end() && found->is_number_integer() ? found->get<std::int64_t>()
                                                             : kLifetimeSeconds;
}

}  // namespace

Result<AccessToken> from_external_account(Means& means, const json& document) {
  const std::string audience = text_in(document, "audience");
  const std::string type = text_in(document, "subject_token_type");
  if (audience.empty() || type.empty()) {
    return problem("audience or subject_token_type is missing in its file.");
  }
  TRY_ASSIGN(const std::string subject, subject_token(means, document));
  std::string uri = means.options.sts_endpoint;
  if (uri.empty()) uri = text_in(document, "token_url");
  if (uri.empty()) uri = kStsUri;
  const std::string account = text_in(document, "service_account_impersonation_url");
  // Speaking for a service account needs the wide scope; what it may then do is asked for there.
  const std::string scope = account.empty() ? means.scopes() : kCloudPlatform;
  http::Request request = form_request(uri, {{"grant_type", kExchange},
                                             {"audience", audience},
                                             {"scope", scope},
                                             {"requested_token_type", kAccessToken},
                                             {"subject_token", subject},
                                             {"subject_token_type", type}});
  if (const std::string id = text_in(document, "client_id"); !id.empty()) {
    const std::string pair = id + ":" + text_in(document, "client_secret");
    request.headers.set("Authorization", "Basic " + to_base64(as_bytes(pair)));
  }
  TRY_ASSIGN(const json answer, ask(means.transport, kSource, std::move(request)));
  TRY_ASSIGN(AccessToken federated, token_of(means.env, kSource, answer));
  if (account.empty()) return federated;
  return impersonate(means, account, federated, {}, lifetime_of(document));
}

Result<AccessToken> impersonate(Means& means, const std::string& url, const AccessToken& who,
                                const std::vector<std::string>& delegates,
                                std::int64_t lifetime_seconds) {
  const std::string source = "impersonation of the service account";
  json wishes{{"scope", means.options.scopes},
              {"lifetime", std::to_string(lifetime_seconds) + "s"}};
  if (!delegates.empty()) wishes["delegates"] = delegates;
  const std::string& other = means.options.impersonation_endpoint;
  http::Request request;
  request.method = "POST";
  request.url = other.empty() ? url : other;
  request.headers.set("Content-Type", "application/json");
  request.headers.set("Authorization", "Bearer " + who.value);
  request.body = source_of(wishes.dump());
  TRY_ASSIGN(const json answer, ask(means.transport, source, std::move(request)));
  const AccessToken token{text_in(answer, "accessToken"),
                          from_rfc3339(text_in(answer, "expireTime"))};
  if (token.value.empty() || !token.expires_at) {
    return no_credentials(source, "the answer has no accessToken with an expireTime.");
  }
  return token;
}

}  // namespace isthmus::google
