#include "datastore/api/google_account.h"

#include <algorithm>

#include "datastore/google_keys.h"

namespace isthmus::datastore {
namespace {

constexpr Milliseconds kLongest{3'600'000};
constexpr Milliseconds kClockSkew{60'000};

// A file costs nothing to look at: keys made or removed count within seconds.
auth::KeySourceOptions source_options(const FileSystem::Path& directory) {
  auth::KeySourceOptions options;
  options.file = directory / kGoogleKeysFile;
  options.fresh_for = Milliseconds(2'000);
  options.least_interval = Milliseconds(500);
  options.usable_for = Milliseconds(5'000);
  return options;
}

bool begins_with_host(std::string_view audience, std::string_view host) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!audience.starts_with(scheme)) continue;
    const std::string_view rest = audience.substr(scheme.size());
    return !host.empty() && rest.starts_with(host) &&
           (rest.size() == host.size() || rest[host.size()] == '/');
  }
  return false;
}

// Old and new libraries of Google's sign for the one or the other, whatever the key file says.
bool is_token_endpoint(std::string_view audience, std::string_view host) {
  return audience == "https://oauth2.googleapis.com/token" ||
         audience == "https://www.googleapis.com/oauth2/v4/token" ||
         (begins_with_host(audience, host) && audience.ends_with("/token"));
}

bool is_api(std::string_view audience, std::string_view host) {
  if (is_token_endpoint(audience, host)) return false;
  return audience == "https://storage.googleapis.com/" ||
         audience == "https://healthcare.googleapis.com/" ||
         audience == "https://logging.googleapis.com/" || begins_with_host(audience, host);
}

Error other_audience() {
  return permanent_error("auth.jwt_audience", "The token is for another audience.");
}

}  // namespace

GoogleAccount::GoogleAccount(Env& env, const FileSystem::Path& directory,
                             const std::string& project)
    : env_(env),
      email_(google_account_email(project)),
      keys_(auth::make_key_source(env, nullptr, source_options(directory))) {}

Result<auth::JwtClaims> GoogleAccount::verify(std::string_view jwt, const char* subject_claim) {
  auth::JwtRules rules;
  rules.issuer = email_;
  rules.scopes_claim = "scope";
  rules.clock_skew = kClockSkew;
  rules.subject_claim = subject_claim;
  rules.any_audience = true;
  rules.padded_too = true;
  TRY_ASSIGN(auth::JwtClaims claims, auth::JwtVerifier(env_, *keys_, rules).verify(jwt));
  if (claims.subject != email_) {
    return permanent_error("auth.jwt_claims", "Nobody but the service account itself is known.");
  }
  if (claims.expires_at > env_.clock.wall_now() + kLongest + kClockSkew) {
    return permanent_error("auth.jwt_claims", "The token is good for longer than an hour.");
  }
  return claims;
}

Result<void> GoogleAccount::verify_grant(std::string_view jwt, std::string_view host) {
  TRY_ASSIGN(const auth::JwtClaims claims, verify(jwt, "iss"));
  const bool ours = std::ranges::any_of(
      claims.audiences, [&](const std::string& one) { return is_token_endpoint(one, host); });
  if (!ours) return other_audience();
  return {};
}

Result<void> GoogleAccount::verify_bearer(std::string_view jwt, std::string_view host) {
  TRY_ASSIGN(const auth::JwtClaims claims, verify(jwt, "sub"));
  const bool ours = claims.audiences.empty()
                        ? !claims.words.empty()
                        : std::ranges::any_of(claims.audiences, [&](const std::string& one) {
                            return is_api(one, host);
                          });
  if (!ours) return other_audience();
  return {};
}

}  // namespace isthmus::datastore
