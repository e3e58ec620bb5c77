// The data store's service account: who has one of its keys (datastore/google_keys.h) signs in by a
// JWT, either changed for a token (RFC 7523) or sent itself as the token. Source:
// contracts/google-healthcare section 7. Any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "auth/jwks.h"
#include "auth/jwt.h"
#include "base/env.h"

namespace isthmus::datastore {

class GoogleAccount {
 public:
  GoogleAccount(Env& env, const FileSystem::Path& directory, const std::string& project);

  // A grant: issued by the account, for a token endpoint, Google's or the one of `host`.
  Result<void> verify_grant(std::string_view jwt, std::string_view host);
  // The token itself: issuer and subject are the account; for an API of Google's or of `host`, or,
  // when it says none, with a scope.
  Result<void> verify_bearer(std::string_view jwt, std::string_view host);
  // Errors of both are those of auth/jwt.h; good for an hour at most.

 private:
  Result<auth::JwtClaims> verify(std::string_view jwt, const char* subject_claim);

  Env& env_;
  const std::string email_;
  const std::unique_ptr<auth::KeySource> keys_;
};

}  // namespace isthmus::datastore
