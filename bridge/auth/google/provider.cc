#include "auth/google/provider.h"

#include <algorithm>

#include "auth/jwt.h"
#include "auth/openssl/signing.h"

namespace isthmus::google {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMostFileBytes = 1 * MiB;
constexpr std::uint64_t kMostAnswerBytes = 64 * KiB;
constexpr std::size_t kMostWords = 200;
constexpr Milliseconds kTimeout{20'000};

// What an endpoint says of its reasons, as far as it is plain text.
std::string cut(std::string text) {
  text.resize(std::min(text.size(), kMostWords));
  for (char& c : text) {
    if (c < ' ' || c > '~') c = ' ';
  }
  return text;
}

// {"error":"invalid_grant","error_description":"…"}, or {"error":{"status":…,"message":…}}.
std::string reason_of(const json& answer) {
  if (!answer.is_object() || !answer.contains("error")) return "";
  const json& error = answer["error"];
  if (error.is_object()) {
    return ": " + cut(text_in(error, "status") + ": " + text_in(error, "message"));
  }
  if (!error.is_string()) return "";
  const std::string words = text_in(answer, "error_description");
  return ": " + cut(error.get<std::string>() + (words.empty() ? "" : ": " + words));
}

}  // namespace

std::optional<std::string> Means::variable(const std::string& name) const {
  auto value = options.variable ? options.variable(name) : std::nullopt;
  if (value && value->empty()) return std::nullopt;
  return value;
}

std::string Means::scopes() const {
  std::string joined;
  for (const std::string& scope : options.scopes) joined += (joined.empty() ? "" : " ") + scope;
  return joined;
}

Error no_credentials(const std::string& source, const std::string& why) {
  return transient_error("auth.no_credentials", "No Google credentials by " + source + ": " + why);
}

Result<std::string> read_file(Env& env, const std::string& path) {
  TRY_ASSIGN(auto file, env.files.open(path, FileSystem::Mode::read_only));
  TRY_ASSIGN(const std::uint64_t size, file->size());
  const auto source = source_of_file(std::move(file), 0, size);
  return read_all(*source, kMostFileBytes);
}

std::string text_in(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

http::Request form_request(const std::string& url, const Form& form) {
  std::string body;
  for (const auto& [name, value] : form) {
    if (!body.empty()) body += '&';
    body += http::percent_encode(name, false) + "=" + http::percent_encode(value, false);
  }
  http::Request request;
  request.method = "POST";
  request.url = url;
  request.headers.set("Content-Type", "application/x-www-form-urlencoded");
  request.headers.set("Accept", "application/json");
  request.body = source_of(std::move(body));
  request.timeout = kTimeout;
  return request;
}

Result<json> ask(http::Transport& transport, const std::string& source, http::Request request) {
  auto response = transport.send(std::move(request));
  if (!response.ok()) return no_credentials(source, response.error().message);
  std::string text;
  if (response->body) {
    auto body = read_all(*response->body, kMostAnswerBytes);
    if (!body.ok()) return no_credentials(source, body.error().message);
    text = std::move(*body);
  }
  json answer = json::parse(text, nullptr, false);
  if (response->status != 200) {
    return no_credentials(
        source, "it answered " + std::to_string(response->status) + reason_of(answer) + ".");
  }
  if (!answer.is_object()) return no_credentials(source, "the answer is not a JSON object.");
  return answer;
}

Result<AccessToken> token_of(Env& env, const std::string& source, const json& answer) {
  AccessToken token{text_in(answer, "access_token"), std::nullopt};
  if (token.value.empty()) return no_credentials(source, "the answer has no access_token.");
  if (const auto expires = answer.find("expires_in");
      expires != answer.end() && expires->is_number()) {
    token.expires_at = env.clock.wall_now() + std::chrono::seconds(expires->get<std::int64_t>());
  }
  return token;
}

Result<std::string> signed_jwt(const std::string& private_key_pem, const std::string& key_id,
                               const json& claims) {
  json header{{"alg", "RS256"}, {"typ", "JWT"}};
  if (!key_id.empty()) header["kid"] = key_id;
  std::string token = auth::to_base64url(as_bytes(header.dump())) + "." +
                      auth::to_base64url(as_bytes(claims.dump()));
  TRY_ASSIGN(const Bytes signature, auth::sign_rs256(private_key_pem, as_bytes(token)));
  return token + "." + auth::to_base64url(signature);
}

}  // namespace isthmus::google
