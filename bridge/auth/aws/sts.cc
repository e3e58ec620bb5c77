#include "auth/aws/sts.h"

#include "auth/aws_endpoint.h"
#include "base/digest.h"
#include "wire/sigv4.h"

namespace isthmus::aws {
namespace {

constexpr const char* kSource = "STS";
constexpr Milliseconds kTimeout{10'000};

Result<std::string> endpoint_of(const Means& means, const std::string& region) {
  if (!means.options.sts_endpoint.empty()) return means.options.sts_endpoint;
  if (const auto set = means.variable("AWS_ENDPOINT_URL_STS")) return *set;
  return aws_endpoint("sts", {.region = region});
}

// The service's own words name roles and callers, which its users know; they hold no secret.
Error refused(int status, const std::string& body) {
  const auto error = wire::sts::parse_error(body);
  if (!error.ok()) return no_credentials(kSource, "it answered " + std::to_string(status) + ".");
  return no_credentials(kSource, error->code + ": " + error->message);
}

}  // namespace

Result<Credentials> assume_role(Means& means, const wire::sts::AssumeRole& role,
                                const std::optional<Credentials>& who, const std::string& region) {
  const std::string form = print(role);
  http::Request request;
  request.method = "POST";
  TRY_ASSIGN(request.url, endpoint_of(means, region));
  if (!request.url.ends_with('/')) request.url += '/';
  request.timeout = kTimeout;
  request.headers.set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
  request.body = std::shared_ptr<ByteSource>(source_of(form));
  if (who) {
    TRY(wire::sigv4::sign(request, {who->access_key_id, who->secret_access_key, who->session_token},
                          region, "sts", means.env.clock.wall_now(), sha256(form).hex()));
  }
  auto response = means.transport.send(std::move(request));
  if (!response.ok()) return no_credentials(kSource, response.error().message);
  auto body = read_all(*response->body, wire::sts::kMaxXmlBytes);
  if (!body.ok()) return no_credentials(kSource, body.error().message);
  if (response->status != 200) return refused(response->status, *body);
  const auto answer = wire::sts::parse_assumed_role(*body);
  if (!answer.ok()) return no_credentials(kSource, answer.error().message);
  return Credentials{answer->access_key_id, answer->secret_access_key, answer->session_token,
                     answer->expires_at};
}

Found from_web_identity_variables(Means& means) {
  const auto path = means.variable("AWS_WEB_IDENTITY_TOKEN_FILE");
  const auto role = means.variable("AWS_ROLE_ARN");
  if (!path || !role) return std::optional<Credentials>();
  auto token = read_secret_file(means.env, *path);  // each time: it is rotated
  if (!token.ok()) {
    return no_credentials("web identity", "AWS_WEB_IDENTITY_TOKEN_FILE cannot be read.");
  }
  const wire::sts::AssumeRole ask{
      *role, means.variable("AWS_ROLE_SESSION_NAME").value_or(means.options.session_name), "",
      *token, std::nullopt};
  TRY_ASSIGN(Credentials credentials, assume_role(means, ask, std::nullopt, means.options.region));
  return std::optional(std::move(credentials));
}

}  // namespace isthmus::aws
