// Instance metadata, version 2: a token by PUT, then the role's name, then its credentials (Amazon
// EC2 User Guide, "Use IMDS"). Version 1 is never tried: it answers whoever can make us send a GET.
#include "auth/aws/provider.h"

namespace isthmus::aws {
namespace {

constexpr const char* kSource = "instance metadata";
constexpr const char* kEndpoint = "http://169.254.169.254";
constexpr const char* kRoles = "/latest/meta-data/iam/security-credentials/";
constexpr Milliseconds kTimeout{1'000};

http::Request request_to(const std::string& url, const std::string& token) {
  http::Request request;
  request.url = url;
  request.timeout = kTimeout;
  request.headers.set("X-aws-ec2-metadata-token", token);
  return request;
}

}  // namespace

Found from_instance_metadata(Means& means) {
  const std::string disabled = means.variable("AWS_EC2_METADATA_DISABLED").value_or("");
  if (disabled == "true" || disabled == "TRUE" || disabled == "True") {
    return std::optional<Credentials>();
  }
  std::string endpoint = means.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT").value_or(kEndpoint);
  while (endpoint.ends_with('/')) endpoint.pop_back();
  http::Request ask;
  ask.method = "PUT";
  ask.url = endpoint + "/latest/api/token";
  ask.timeout = kTimeout;
  ask.headers.set("X-aws-ec2-metadata-token-ttl-seconds", "21600");
  TRY_ASSIGN(const std::string token, fetch(means, kSource, std::move(ask)));
  TRY_ASSIGN(std::string role, fetch(means, kSource, request_to(endpoint + kRoles, token)));
  role = role.substr(0, role.find_first_of("\r\n"));
  if (role.empty()) return no_credentials(kSource, "the instance has no role.");
  TRY_ASSIGN(const std::string answer,
             fetch(means, kSource,
                   request_to(endpoint + kRoles + http::percent_encode(role, false), token)));
  TRY_ASSIGN(Credentials credentials, parse_credentials_json(kSource, answer));
  return std::optional(std::move(credentials));
}

}  // namespace isthmus::aws
