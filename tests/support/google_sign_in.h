// Stands in for what Google's sign-in answers with: the token endpoint, the Security Token Service,
// the service that speaks for service accounts, and a machine's metadata server. It looks at what
// the real ones look at (contracts/google-healthcare section 7): signatures, claims, forms,
// headers. Users link auth. One thread at a time.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "auth/jwks.h"
#include "auth/jwt.h"
#include "http/http.h"
#include "support/identity_provider.h"
#include "support/test_env.h"

namespace isthmus::test {

class GoogleSignIn : public http::Transport {
 public:
  static constexpr const char* kEmail = "gateway@hospital.iam.gserviceaccount.com";
  static constexpr const char* kAudience =
      "//iam.googleapis.com/projects/7/locations/global/workloadIdentityPools/p/providers/on-site";

  explicit GoogleSignIn(FakeClock& clock) : clock_(clock) {
    const auto keys = auth::parse_jwks(provider().jwks());
    for (const auth::NamedKey& key : *keys) {
      if (key.id == "r1") key_ = key.key;
    }
  }

  // Keys take time to make: one provider for all.
  static const IdentityProvider& provider() {
    static const IdentityProvider one;
    return one;
  }
  // As the console lets one download it.
  static nlohmann::json key_file() {
    return {{"type", "service_account"},
            {"project_id", "hospital"},
            {"private_key_id", "r1"},
            {"private_key", provider().rsa_private_key()},
            {"client_email", kEmail},
            {"client_id", "111"},
            {"auth_uri", "https://accounts.google.com/o/oauth2/auth"},
            {"token_uri", "https://oauth2.googleapis.com/token"},
            {"universe_domain", "googleapis.com"}};
  }

  Result<http::Response> send(http::Request request) override {
    std::string body;
    if (request.body) {
      TRY_ASSIGN(body, read_all(*request.body, 64 * KiB));
    }
    asked.push_back(request.method + " " + request.url);
    if (broken) return *broken;
    const http::Url url = *http::parse_url(request.url);
    const std::string place = std::string(url.authority) + std::string(url.path());
    if (place.ends_with("/computeMetadata/v1/instance/service-accounts/default/token")) {
      return metadata(request);
    }
    if (place.ends_with("/computeMetadata/v1/instance/service-accounts/default/email")) {
      http::Response answer = http::text_response(200, "application/text", kEmail);
      answer.headers.set("Metadata-Flavor", metadata_flavor);
      return answer;
    }
    if (request.method != "POST") return oauth_error(405, "invalid_request", "");
    if (place.ends_with(":generateAccessToken")) return impersonation(request, body);
    if (request.headers.get("Content-Type") != "application/x-www-form-urlencoded") {
      return oauth_error(400, "invalid_request", "Bad content type");
    }
    std::map<std::string, std::string> form;
    for (const auto& [name, value] : http::parse_query(body)) form[name] = value;
    if (place.ends_with("/v1/token")) return exchange(request, form);
    if (form["grant_type"] == "refresh_token") return refresh(form);
    return grant(form);
  }

  // Whether `token` is a JWT of the key's holder for `audience`, as a service looks at it.
  std::string refusal_of_jwt(const std::string& token, const std::string& audience,
                             bool self_signed) const {
    const std::size_t first = token.find('.'), last = token.rfind('.');
    if (first == std::string::npos || first == last) return "malformed";
    const auto decoded = [&](std::size_t from, std::size_t to) {
      const auto bytes = auth::from_base64url(token.substr(from, to - from));
      return bytes ? std::string(as_text(*bytes)) : std::string();
    };
    const auto header = nlohmann::json::parse(decoded(0, first), nullptr, false);
    const auto claims = nlohmann::json::parse(decoded(first + 1, last), nullptr, false);
    const std::string signature = decoded(last + 1, token.size());
    if (!header.is_object() || !claims.is_object()) return "malformed";
    if (header.value("alg", "") != "RS256" || header.value("typ", "") != "JWT") return "algorithm";
    if (header.value("kid", "") != "r1") return "Invalid JWT Signature.";
    if (!key_->verifies(as_bytes(token.substr(0, last)), as_bytes(signature))) {
      return "Invalid JWT Signature.";
    }
    if (claims.value("iss", "") != kEmail) return "Invalid grant: account not found";
    if (claims.value("aud", "") != audience) return "Invalid JWT: Failed audience check.";
    const std::int64_t now =
        std::chrono::duration_cast<std::chrono::seconds>(clock_.wall_now().time_since_epoch())
            .count();
    const std::int64_t issued = claims.value("iat", std::int64_t{0});
    const std::int64_t expires = claims.value("exp", std::int64_t{0});
    if (issued > now + 300 || expires < now || expires - issued > 3600) {
      return "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable "
             "timeframe. Check your iat and exp values in the JWT claim.";
    }
    if (self_signed ? claims.value("sub", "") != kEmail : !claims.contains("scope")) {
      return "Invalid OAuth scope or ID token audience provided.";
    }
    return "";
  }

  std::vector<std::string> asked;
  std::optional<Error> broken;
  std::int64_t lifetime_seconds = 3599;
  std::string metadata_flavor = "Google";
  std::vector<std::string> scopes_asked;  // by impersonation
  std::string last_scope;

 private:
  static http::Response json_answer(int status, const nlohmann::json& body) {
    return http::text_response(status, "application/json", body.dump());
  }
  static http::Response oauth_error(int status, const std::string& error,
                                    const std::string& words) {
    return json_answer(status, {{"error", error}, {"error_description", words}});
  }
  http::Response token(const std::string& kind) {
    return json_answer(200, {{"access_token", kind + "-" + std::to_string(++given_)},
                             {"expires_in", lifetime_seconds},
                             {"token_type", "Bearer"}});
  }

  http::Response grant(std::map<std::string, std::string>& form) {
    if (form["grant_type"] != "urn:ietf:params:oauth:grant-type:jwt-bearer") {
      return oauth_error(400, "unsupported_grant_type", "Invalid grant_type");
    }
    const std::string refusal =
        refusal_of_jwt(form["assertion"], "https://oauth2.googleapis.com/token", false);
    if (!refusal.empty()) return oauth_error(400, "invalid_grant", refusal);
    return token("granted");
  }

  http::Response refresh(std::map<std::string, std::string>& form) {
    if (form["client_id"] != "app" || form["client_secret"] != "app-secret") {
      return oauth_error(401, "invalid_client", "The OAuth client was not found.");
    }
    if (form["refresh_token"] != "person") {
      return oauth_error(400, "invalid_grant", "Token has been expired or revoked.");
    }
    return token("refreshed");
  }

  http::Response exchange(const http::Request& request, std::map<std::string, std::string>& form) {
    const bool right =
        form["grant_type"] == "urn:ietf:params:oauth:grant-type:token-exchange" &&
        form["requested_token_type"] == "urn:ietf:params:oauth:token-type:access_token" &&
        form["subject_token_type"] == "urn:ietf:params:oauth:token-type:jwt" &&
        form["audience"] == kAudience && !form["scope"].empty();
    if (!right) return oauth_error(400, "invalid_request", "Invalid value for a parameter.");
    if (form["subject_token"] != "on-site-token") {
      return oauth_error(400, "invalid_grant", "The subject token could not be verified.");
    }
    static_cast<void>(request);
    last_scope = form["scope"];
    http::Response response = token("federated");
    return response;
  }

  http::Response impersonation(const http::Request& request, const std::string& body) {
    const std::string_view bearer = request.headers.get("Authorization");
    const auto wishes = nlohmann::json::parse(body, nullptr, false);
    if (!bearer.starts_with("Bearer federated-") && !bearer.starts_with("Bearer granted-")) {
      return json_answer(401, {{"error", {{"code", 401}, {"status", "UNAUTHENTICATED"}}}});
    }
    if (!wishes.is_object() || !wishes.contains("scope") || !wishes["scope"].is_array()) {
      return json_answer(
          400,
          {{"error",
            {{"code", 400}, {"status", "INVALID_ARGUMENT"}, {"message", "Scopes are required"}}}});
    }
    scopes_asked = wishes["scope"].get<std::vector<std::string>>();
    const std::string lifetime = wishes.value("lifetime", "3600s");
    const auto ends = clock_.wall_now() + std::chrono::seconds(std::stoll(lifetime));
    return json_answer(200, {{"accessToken", "impersonated-" + std::to_string(++given_)},
                             {"expireTime", to_rfc3339(ends)}});
  }

  http::Response metadata(const http::Request& request) {
    http::Response response =
        request.headers.get("Metadata-Flavor") == "Google" && request.method == "GET"
            ? token("machine")
            : http::text_response(403, "text/html", "Missing Metadata-Flavor:Google header.");
    if (!metadata_flavor.empty()) response.headers.set("Metadata-Flavor", metadata_flavor);
    return response;
  }

  FakeClock& clock_;
  std::shared_ptr<const auth::VerificationKey> key_;
  int given_ = 0;
};

}  // namespace isthmus::test
