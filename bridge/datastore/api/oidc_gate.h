// Callers with a token of the site's identity provider (OpenID Connect), let in beside those who
// sign. The same verification as at the gateway's own API (auth/jwt.h). Any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "auth/jwt.h"
#include "http/http.h"

namespace isthmus::datastore {

// What stands behind "Bearer"; nothing without it.
std::optional<std::string_view> bearer_token(const http::Head& head);

class OidcGate {
 public:
  // `verifier` may be null: then nobody comes this way. Else it must outlive this.
  OidcGate(auth::JwtVerifier* verifier, std::string scope)
      : verifier_(verifier), scope_(std::move(scope)) {}

  // Whether the request has a token that is to be judged here.
  bool claims(const http::Head& head) const;
  // Errors: those of auth/jwt.h, and "auth.jwt_scope" (permanent) without the scope.
  Result<void> admit(std::string_view token) const;

 private:
  auth::JwtVerifier* const verifier_;
  const std::string scope_;
};

}  // namespace isthmus::datastore
