// Who may call the HTTP port, composed of the configuration: tokens, the identity provider, and who
// decides.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/gatekeeper.h"
#include "api/guarded_router.h"
#include "api/rest.h"
#include "api/token_book.h"
#include "app/settings.h"
#include "auth/jwt.h"
#include "http/http.h"
#include "ledger/access_rows.h"

namespace isthmus::app {

// The identity provider of api.oidc.*, whose tokens are verified.
class IdentityProvider {
 public:
  // `once`: as api.oidc.once says; else a token may come as often as it likes.
  static std::unique_ptr<IdentityProvider> open(Env& env, const Settings& settings, bool once);
  auth::JwtVerifier& verifier() { return *verifier_; }

 private:
  std::unique_ptr<http::Transport> transport_;
  std::unique_ptr<auth::KeySource> keys_;
  std::unique_ptr<auth::JwtVerifier> verifier_;
};

class Access {
 public:
  // All must outlive it. Errors are those of the ledger.
  static Result<std::unique_ptr<Access>> open(Env& env, const Settings& settings, AccessRows& rows,
                                              std::string control_token);

  api::Authenticator& authenticator() { return *gatekeeper_; }
  api::TokenBook& tokens() { return tokens_; }

 private:
  Access(Env& env, AccessRows& rows) : tokens_(env, rows) {}

  api::TokenBook tokens_;
  std::unique_ptr<IdentityProvider> oidc_;
  std::unique_ptr<api::Gatekeeper> gatekeeper_;
};

api::GuardedRouterOptions guarded_router_options(const Settings& settings);

// Of a list of words that access_problems() has seen; others count for nothing.
api::Scopes scopes_of(const Settings& settings, const std::string& name);

// What the REST API says of destinations.
std::vector<api::DestinationFace> destination_faces(const Settings& settings);

// What does not go together in api.* and http.*, a sentence each; a listener that would be open to
// others among them.
std::vector<std::string> access_problems(const Settings& settings);

}  // namespace isthmus::app
