// Containers and pods: an address in the environment gives credentials as JSON (AWS SDKs and Tools
// Reference Guide, "Container credential provider").
#include <algorithm>
#include <array>

#include "auth/aws/provider.h"

namespace isthmus::aws {
namespace {

constexpr const char* kSource = "container credentials";
constexpr const char* kTaskHost = "http://169.254.170.2";
constexpr Milliseconds kTimeout{2'000};

// Without TLS only addresses that cannot leave the machine: loopback, and the agents of ECS and
// EKS.
bool may_be_asked(std::string_view url) {
  const auto parsed = http::parse_url(url);
  if (!parsed.ok()) return false;
  if (parsed->scheme == "https") return true;
  std::string_view host = parsed->authority;
  if (host.starts_with('[')) {
    host = host.substr(0, host.find(']') + 1);
  } else {
    host = host.substr(0, host.find(':'));
  }
  constexpr std::array kLocal{std::string_view("localhost"), std::string_view("[::1]"),
                              std::string_view("169.254.170.2"), std::string_view("169.254.170.23"),
                              std::string_view("[fd00:ec2::23]")};
  return std::ranges::find(kLocal, host) != kLocal.end() || host.starts_with("127.");
}

}  // namespace

Found from_container(Means& means) {
  const auto relative = means.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  const auto full = means.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (!relative && !full) return std::optional<Credentials>();
  http::Request request;
  request.url = relative ? kTaskHost + *relative : *full;
  request.timeout = kTimeout;
  if (!may_be_asked(request.url)) {
    return no_credentials(kSource,
                          "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or on loopback or a "
                          "container agent's address.");
  }
  std::string token = means.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN").value_or("");
  if (const auto path = means.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")) {
    auto read = read_secret_file(means.env, *path);  // each time: agents rotate it
    if (!read.ok()) {
      return no_credentials(kSource, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE cannot be read.");
    }
    token = *read;
  }
  if (token.find_first_of("\r\n") != std::string::npos) {
    return no_credentials(kSource, "the authorization token has a line break in it.");
  }
  if (!token.empty()) request.headers.set("Authorization", token);
  TRY_ASSIGN(const std::string answer, fetch(means, kSource, std::move(request)));
  TRY_ASSIGN(Credentials credentials, parse_credentials_json(kSource, answer));
  return std::optional(std::move(credentials));
}

}  // namespace isthmus::aws
