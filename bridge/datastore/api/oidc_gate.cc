#include "datastore/api/oidc_gate.h"

#include <algorithm>

namespace isthmus::datastore {

std::optional<std::string_view> bearer_token(const http::Head& head) {
  constexpr std::string_view kScheme = "bearer ";  // in either case (RFC 9110 section 11.1)
  const std::string_view header = head.headers.get("Authorization");
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  if (!std::ranges::equal(header.substr(0, kScheme.size()), kScheme, {}, lower)) {
    return std::nullopt;
  }
  return header.substr(kScheme.size());
}

bool OidcGate::claims(const http::Head& head) const {
  return verifier_ != nullptr && bearer_token(head).has_value();
}

Result<void> OidcGate::admit(std::string_view token) const {
  if (verifier_ == nullptr) return permanent_error("auth.jwt_key", "No identity provider is set.");
  TRY_ASSIGN(const auth::JwtClaims claims, verifier_->verify(token));
  if (std::ranges::find(claims.words, scope_) != claims.words.end()) return {};
  return permanent_error("auth.jwt_scope", "The token is not for the data store.");
}

}  // namespace isthmus::datastore
