// The key of a service account: it signs who we are, and Google gives a token for that (RFC 7523
// section 2.1), or takes the signed JWT as the token itself (AIP-4111).
#include "auth/google/provider.h"

namespace isthmus::google {
namespace {

using nlohmann::json;
using std::chrono::duration_cast;
using std::chrono::seconds;

constexpr const char* kSource = "the service account's key";
constexpr const char* kTokenUri = "https://oauth2.googleapis.com/token";
constexpr const char* kGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
constexpr seconds kGoodFor{3600};  // longer is refused

json claims_from(WallTime now, const std::string& email, const std::string& audience) {
  const auto issued = duration_cast<seconds>(now.time_since_epoch()).count();
  return {{"iss", email}, {"aud", audience}, {"iat", issued}, {"exp", issued + kGoodFor.count()}};
}

Result<std::string> sign(const json& document, const json& claims) {
  auto token =
      signed_jwt(text_in(document, "private_key"), text_in(document, "private_key_id"), claims);
  if (token.ok()) return token;
  return no_credentials(kSource, "private_key in its file is no RSA key in PEM.");
}

}  // namespace

Result<AccessToken> from_service_account(Means& means, const json& document) {
  const std::string email = text_in(document, "client_email");
  if (email.empty()) return no_credentials(kSource, "client_email is missing in its file.");
  const WallTime now = means.env.clock.wall_now();
  if (const std::string& audience = means.options.self_signed_audience; !audience.empty()) {
    json claims = claims_from(now, email, audience);
    claims["sub"] = email;
    TRY_ASSIGN(std::string token, sign(document, claims));
    return AccessToken{std::move(token), now + kGoodFor};
  }
  std::string uri = text_in(document, "token_uri");
  if (uri.empty()) uri = kTokenUri;
  json claims = claims_from(now, email, uri);
  claims["scope"] = means.scopes();
  TRY_ASSIGN(const std::string assertion, sign(document, claims));
  const std::string& other = means.options.token_endpoint;
  TRY_ASSIGN(const json answer,
             ask(means.transport, kSource,
                 form_request(other.empty() ? uri : other,
                              {{"grant_type", kGrant}, {"assertion", assertion}})));
  return token_of(means.env, kSource, answer);
}

}  // namespace isthmus::google
