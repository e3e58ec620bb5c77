// A person's refresh token, as `gcloud auth application-default login` leaves it (RFC 6749 section
// 6): for trying things out; a gateway has an account of its own.
#include "auth/google/provider.h"

namespace isthmus::google {
namespace {

constexpr const char* kSource = "the authorized user's file";
constexpr const char* kTokenUri = "https://oauth2.googleapis.com/token";

}  // namespace

Result<AccessToken> from_authorized_user(Means& means, const nlohmann::json& document) {
  for (const char* name : {"client_id", "client_secret", "refresh_token"}) {
    if (text_in(document, name).empty()) {
      return no_credentials(kSource, std::string(name) + " is missing in it.");
    }
  }
  std::string uri = means.options.token_endpoint;
  if (uri.empty()) uri = text_in(document, "token_uri");
  if (uri.empty()) uri = kTokenUri;
  TRY_ASSIGN(const nlohmann::json answer,
             ask(means.transport, kSource,
                 form_request(uri, {{"grant_type", "refresh_token"},
                                    {"client_id", text_in(document, "client_id")},
                                    {"client_secret", text_in(document, "client_secret")},
                                    {"refresh_token", text_in(document, "refresh_token")}})));
  return token_of(means.env, kSource, answer);
}

}  // namespace isthmus::google
