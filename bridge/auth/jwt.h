// JSON Web Tokens of an identity provider (RFC 7519, signed as RFC 7515): read, verified, and their
// claims told. RS256 and ES256 only (RFC 7518 sections 3.3, 3.4); the algorithm is the key's, never
// the token's word alone, and "none" is no algorithm.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "auth/jwks.h"
#include "base/env.h"

namespace isthmus::auth {

struct JwtRules {
  std::string issuer;        // "iss" must be exactly this
  std::string audience;      // "aud" must be, or have, exactly this
  std::string scopes_claim;  // whose words are told: "scope"; a text or a list of texts
  Milliseconds clock_skew{60'000};
  bool once = false;                  // "jti" is demanded, and each is accepted once
  std::string subject_claim = "sub";  // a grant's issuer speaks for itself: "iss" (RFC 7523)
  // The caller of verify() judges JwtClaims::audiences; `audience` is then empty.
  bool any_audience = false;
  // Parts may end with "=": older libraries of Google's (1.5 for Python) sign what they padded.
  bool padded_too = false;
};

struct JwtClaims {
  std::string subject;             // printable ASCII, 1 to 128 characters
  std::vector<std::string> words;  // of scopes_claim; empty when there is none
  WallTime expires_at;
  std::vector<std::string> audiences = {};
};

// Any thread, many at once.
class JwtVerifier {
 public:
  // `keys` must outlive it. Rules need an issuer, and an audience or `any_audience`.
  JwtVerifier(Env& env, KeySource& keys, JwtRules rules);

  // Errors are permanent: "auth.jwt_malformed" (no token in compact form, or one with "crit"),
  // "auth.jwt_algorithm", "auth.jwt_key" (no such key), "auth.jwt_signature", "auth.jwt_issuer",
  // "auth.jwt_audience", "auth.jwt_expired", "auth.jwt_not_yet", "auth.jwt_claims" (one is missing
  // or of the wrong kind), "auth.jwt_replayed". Transient: those of KeySource, and
  // "auth.replay_full" when too many tokens of `once` are in force. Messages hold nothing of the
  // token.
  Result<JwtClaims> verify(std::string_view token);

 private:
  Result<void> take_once(const std::string& id, WallTime until);

  Env& env_;
  KeySource& keys_;
  const JwtRules rules_;
  std::mutex mutex_;
  std::map<std::string, WallTime, std::less<>> used_;  // digests of jti, until when they matter
};

// base64url without padding (RFC 7515 section 2); nothing otherwise.
std::optional<Bytes> from_base64url(std::string_view text);
std::string to_base64url(ByteSpan bytes);

}  // namespace isthmus::auth
