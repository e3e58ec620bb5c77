// The metadata server of a virtual machine, a cluster's node or a managed runtime ("About VM
// metadata", Compute Engine documentation).
#include "auth/google/provider.h"

namespace isthmus::google {
namespace {

constexpr const char* kSource = "the metadata server";
constexpr const char* kHost = "169.254.169.254";
constexpr const char* kAccount = "/computeMetadata/v1/instance/service-accounts/default/";
constexpr std::uint64_t kMaxNameBytes = 4 * KiB;
constexpr const char* kFlavor = "Metadata-Flavor";
constexpr Milliseconds kTimeout{3'000};

// What answers without this header is not the metadata server, but somebody in its place.
class Flavored : public http::Transport {
 public:
  explicit Flavored(http::Transport& next) : next_(next) {}
  Result<http::Response> send(http::Request request) override {
    TRY_ASSIGN(http::Response response, next_.send(std::move(request)));
    if (response.headers.get(kFlavor) == "Google") return response;
    return transient_error("http.closed", "what answered is no metadata server.");
  }

 private:
  http::Transport& next_;
};

http::Request request_about_account(const Means& means, const std::string& what) {
  std::string endpoint = means.options.metadata_endpoint;
  if (endpoint.empty()) {
    endpoint = "http://" + means.variable("GCE_METADATA_HOST").value_or(kHost);
  }
  while (endpoint.ends_with('/')) endpoint.pop_back();
  http::Request request;
  request.url = endpoint + kAccount + what;
  request.headers.set(kFlavor, "Google");
  request.timeout = kTimeout;
  return request;
}

}  // namespace

Result<AccessToken> from_metadata_server(Means& means) {
  std::string scopes;
  for (const std::string& scope : means.options.scopes) {
    scopes += (scopes.empty() ? "" : ",") + scope;
  }
  Flavored local(means.local());
  TRY_ASSIGN(
      const nlohmann::json answer,
      ask(local, kSource,
          request_about_account(means, "token?scopes=" + http::percent_encode(scopes, false))));
  return token_of(means.env, kSource, answer);
}

Result<std::string> account_of_machine(Means& means) {
  Flavored local(means.local());
  auto response = local.send(request_about_account(means, "email"));
  if (!response.ok()) return no_credentials(kSource, response.error().message);
  if (response->status != 200 || !response->body) {
    return no_credentials(kSource, "the machine has no service account.");
  }
  return read_all(*response->body, kMaxNameBytes);
}

}  // namespace isthmus::google
