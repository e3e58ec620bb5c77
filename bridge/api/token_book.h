// API tokens: made by `isthmus token add`, shown once, kept as digests in the ledger and looked up
// in memory, so that a call costs no read of the ledger and a revoked token is refused at once.
//
// A token is "ist_<id>_<secret>": 16 hex digits by which it is found, and 32 random bytes in hex.
// With that much entropy a plain SHA-256 is as good as a slow hash.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "api/access.h"
#include "ledger/access_rows.h"

namespace isthmus::api {

class GuardedRouter;

// Any thread.
class TokenBook {
 public:
  // The rows must outlive it.
  TokenBook(Env& env, AccessRows& rows) : env_(env), rows_(rows) {}

  // Reads the ledger; called once before anything else.
  Result<void> load();

  struct Issued {
    TokenRow row;
    std::string token;  // the only time that it is seen
  };
  // Durable when it returns. "api.bad_token_name" (letters, digits and .-_@, 64 at most),
  // "api.token_exists" when one of that name is in force, both permanent; and the ledger's.
  Result<Issued> issue(const std::string& name, const Scopes& scopes,
                       std::optional<Milliseconds> lifetime);
  // By id or name. "api.token.not_found" (permanent) when none of that id or name is in force.
  Result<void> revoke(std::string_view id_or_name);
  Result<std::vector<TokenRow>> list() { return rows_.tokens(); }

  struct Holder {
    std::string name;
    Scopes scopes;
  };
  // Who holds it. "api.unauthorized" (unknown, revoked, no token), "api.expired": permanent.
  Result<Holder> find(std::string_view token) const;
  static bool looks_like_token(std::string_view text) { return text.starts_with("ist_"); }

 private:
  Env& env_;
  AccessRows& rows_;
  mutable std::mutex mutex_;
  std::map<std::string, TokenRow, std::less<>> in_force_;  // by id
};

//   GET  /v1/tokens               all, without secrets (admin)
//   POST /v1/tokens               {"name", "scopes": ["read"], "expires_in_s"} → 201 with the token
//   POST /v1/tokens/{id}/revoke   by id or name
//   GET  /v1/audit                the newest first; ?before=<seq>&limit=<n> (admin)
// Both must outlive the router.
void add_token_routes(GuardedRouter& router, TokenBook& book, AccessRows& rows);

}  // namespace isthmus::api
