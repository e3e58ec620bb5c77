// Who may call the Google faces: with an access token (opaque, good for an hour, known to this
// process only), a JWT of the data store's service account, or one of the site's identity provider.
// Any thread.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "base/digest.h"
#include "base/env.h"
#include "datastore/api/google_account.h"
#include "datastore/api/oidc_gate.h"
#include "http/http.h"

namespace isthmus::datastore {

class GoogleTokens {
 public:
  static constexpr std::chrono::seconds kGoodFor{3600};

  // `open_to_all`: everybody may call, with whatever token or none.
  GoogleTokens(Env& env, GoogleAccount& account, const OidcGate& oidc, bool open_to_all)
      : env_(env), account_(account), oidc_(oidc), open_to_all_(open_to_all) {}

  // A new token. "RESOURCE_EXHAUSTED" (permanent) when very many are in force.
  Result<std::string> issue();
  // Whether the request may be answered: "UNAUTHENTICATED" (permanent).
  Result<void> admit(const http::Head& head);

 private:
  bool is_ours(std::string_view token);

  Env& env_;
  GoogleAccount& account_;
  const OidcGate& oidc_;
  const bool open_to_all_;
  std::mutex mutex_;
  std::map<Digest, WallTime> ends_;  // by the token's digest: a token is kept nowhere
};

}  // namespace isthmus::datastore
