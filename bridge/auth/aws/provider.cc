#include "auth/aws/provider.h"

#include <nlohmann/json.hpp>

namespace isthmus::aws {
namespace {

constexpr std::uint64_t kMostFileBytes = 1024 * 1024;
constexpr std::uint64_t kMostAnswerBytes = 64 * 1024;

std::string text_of(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

std::optional<std::string> Means::variable(const std::string& name) const {
  auto value = options.variable(name);
  if (value && value->empty()) return std::nullopt;
  return value;
}

Error no_credentials(const std::string& source, const std::string& why) {
  return transient_error("auth.no_credentials", "No AWS credentials by " + source + ": " + why);
}

Result<std::string> read_secret_file(Env& env, const std::string& path) {
  TRY_ASSIGN(auto file, env.files.open(path, FileSystem::Mode::read_only));
  TRY_ASSIGN(const std::uint64_t size, file->size());
  const auto source = source_of_file(std::move(file), 0, size);
  TRY_ASSIGN(std::string text, read_all(*source, kMostFileBytes));
  const auto is_space = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  while (!text.empty() && is_space(text.back())) text.pop_back();
  std::size_t begin = 0;
  while (begin < text.size() && is_space(text[begin])) ++begin;
  return text.substr(begin);
}

Result<Credentials> parse_credentials_json(const std::string& source, const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return no_credentials(source, "the answer is not a JSON object.");
  if (const std::string code = text_of(json, "Code"); !code.empty() && code != "Success") {
    return no_credentials(source, "the answer's Code is not Success.");
  }
  Credentials credentials{text_of(json, "AccessKeyId"), text_of(json, "SecretAccessKey"),
                          text_of(json, "Token"), std::nullopt};
  if (credentials.session_token.empty()) credentials.session_token = text_of(json, "SessionToken");
  if (credentials.access_key_id.empty() || credentials.secret_access_key.empty()) {
    return no_credentials(source, "AccessKeyId or SecretAccessKey is missing in the answer.");
  }
  if (std::string expiration = text_of(json, "Expiration"); !expiration.empty()) {
    // What scripts print for UTC.
    if (expiration.ends_with("+00:00")) expiration.replace(expiration.size() - 6, 6, "Z");
    credentials.expires_at = from_rfc3339(expiration);
    if (!credentials.expires_at) {
      return no_credentials(source, "Expiration in the answer is no RFC 3339 time.");
    }
  }
  return credentials;
}

Result<std::string> fetch(Means& means, const std::string& source, http::Request request) {
  http::Transport& local =
      means.options.local_transport == nullptr ? means.transport : *means.options.local_transport;
  auto response = local.send(std::move(request));
  if (!response.ok()) return no_credentials(source, response.error().message);
  if (response->status != 200) {
    return no_credentials(source, "it answered " + std::to_string(response->status) + ".");
  }
  auto body = read_all(*response->body, kMostAnswerBytes);
  if (!body.ok()) return no_credentials(source, body.error().message);
  return std::move(*body);
}

Found from_environment(Means& means) {
  const auto id = means.variable("AWS_ACCESS_KEY_ID");
  const auto secret = means.variable("AWS_SECRET_ACCESS_KEY");
  if (!id && !secret) return std::optional<Credentials>();
  if (!id || !secret) {
    return no_credentials("environment",
                          "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set together.");
  }
  return std::optional(
      Credentials{*id, *secret, means.variable("AWS_SESSION_TOKEN").value_or(""), std::nullopt});
}

}  // namespace isthmus::aws
