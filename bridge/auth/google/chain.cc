#include "auth/google.h"
#include "auth/google/provider.h"
#include "auth/renewal.h"

namespace isthmus {
namespace {

using google::AccessToken;
using nlohmann::json;

constexpr const char* kWellKnown = "application_default_credentials.json";

class GoogleCredentials : public TokenSource {
 public:
  GoogleCredentials(Env& env, http::Transport& transport, GoogleCredentialOptions options)
      : options_(std::move(options)),
        means_{env, transport, options_},
        renewal_(env, options_.refresh_before, [this] { return find(); }) {}

  Result<std::string> token() override { return renewal_.get(); }
  void refused(const std::string& token) override { renewal_.refused(token); }

 private:
  using Found = Renewed<std::string>;

  static Found found(AccessToken token, std::string source) {
    return {std::move(token.value), token.expires_at, std::move(source)};
  }

  Result<Found> find() {
    TRY_ASSIGN(const std::optional<std::string> file, google::find_credentials_file(means_));
    if (file) {
      TRY_ASSIGN(const json document, google::read_credentials(means_, *file));
      TRY_ASSIGN(AccessToken token, google::from_document(means_, document));
      return found(std::move(token), google::text_in(document, "type"));
    }
    if (means_.variable("NO_GCE_CHECK") == "true") {
      return transient_error("auth.no_credentials",
                             "No Google credentials: name a file by GOOGLE_APPLICATION_CREDENTIALS "
                             "or in the destination's settings.");
    }
    TRY_ASSIGN(AccessToken token, google::from_metadata_server(means_));
    return found(std::move(token), "metadata_server");
  }

  const GoogleCredentialOptions options_;
  google::Means means_;
  Renewal<std::string> renewal_;
};

std::vector<std::string> delegates_of(const json& document) {
  std::vector<std::string> delegates;
  const auto found = document.find("delegates");
  if (found == document.end() || !found->is_array()) return delegates;
  for (const json& one : *found) {
    if (one.is_string()) delegates.push_back(one.get<std::string>());
  }
  return delegates;
}

}  // namespace

namespace google {

Result<std::optional<std::string>> find_credentials_file(const Means& means) {
  if (!means.options.credentials_file.empty()) return std::optional(means.options.credentials_file);
  if (auto named = means.variable("GOOGLE_APPLICATION_CREDENTIALS")) return named;
  FileSystem::Path folder;
  if (const auto configured = means.variable("CLOUDSDK_CONFIG")) {
    folder = *configured;
  } else if (const auto home = means.variable("HOME")) {
    folder = FileSystem::Path(*home) / ".config" / "gcloud";
  } else {
    return std::optional<std::string>();
  }
  const FileSystem::Path file = folder / kWellKnown;
  TRY_ASSIGN(const bool there, means.env.files.exists(file));
  return there ? std::optional(file.string()) : std::nullopt;
}

Result<json> read_credentials(const Means& means, const std::string& file) {
  const auto text = read_file(means.env, file);
  if (!text.ok()) {
    return no_credentials("the credentials file", "it cannot be read: " + file + ".");
  }
  json document = json::parse(*text, nullptr, false);
  if (document.is_object()) return document;
  return no_credentials("the credentials file", "it is not a JSON object: " + file + ".");
}

Result<AccessToken> from_document(Means& means, const json& document, int depth) {
  const std::string type = text_in(document, "type");
  if (type == "service_account") return from_service_account(means, document);
  if (type == "external_account") return from_external_account(means, document);
  if (type == "authorized_user") return from_authorized_user(means, document);
  if (type == "impersonated_service_account" && depth == 0) {
    const auto source = document.find("source_credentials");
    if (source == document.end() || !source->is_object()) {
      return no_credentials("the credentials file", "source_credentials are missing in it.");
    }
    TRY_ASSIGN(const AccessToken who, from_document(means, *source, depth + 1));
    return impersonate(means, text_in(document, "service_account_impersonation_url"), who,
                       delegates_of(document), 3600);
  }
  return no_credentials("the credentials file",
                        "its type must be service_account, external_account, authorized_user or "
                        "impersonated_service_account.");
}

}  // namespace google

std::unique_ptr<TokenSource> make_google_credentials(Env& env, http::Transport& transport,
                                                     GoogleCredentialOptions options) {
  return std::make_unique<GoogleCredentials>(env, transport, std::move(options));
}

}  // namespace isthmus
