// Whose credentials they are, told without a token.
#include "auth/google/provider.h"

namespace isthmus::google {
namespace {

constexpr const char* kAccounts = "/serviceAccounts/";

// ".../serviceAccounts/NAME:generateAccessToken"
std::string impersonated_in(const nlohmann::json& document) {
  const std::string url = text_in(document, "service_account_impersonation_url");
  const std::size_t at = url.find(kAccounts);
  if (at == std::string::npos) return "";
  const std::size_t from = at + std::char_traits<char>::length(kAccounts);
  return url.substr(from, url.find(':', from) - from);
}

}  // namespace

GoogleIdentity identity_in(const nlohmann::json& document) {
  GoogleIdentity identity{text_in(document, "type"), text_in(document, "client_email")};
  if (identity.name.empty()) identity.name = impersonated_in(document);
  if (identity.name.empty()) identity.name = text_in(document, "audience");
  if (identity.name.empty()) identity.name = text_in(document, "account");
  return identity;
}

}  // namespace isthmus::google

namespace isthmus {

Result<GoogleIdentity> read_google_identity(Env& env, http::Transport& transport,
                                            const GoogleCredentialOptions& options) {
  google::Means means{env, transport, options};
  TRY_ASSIGN(const std::optional<std::string> file, google::find_credentials_file(means));
  if (!file) {
    TRY_ASSIGN(std::string name, google::account_of_machine(means));
    return GoogleIdentity{"metadata_server", std::move(name)};
  }
  TRY_ASSIGN(const nlohmann::json document, google::read_credentials(means, *file));
  return google::identity_in(document);
}

}  // namespace isthmus
