// Who calls, and what a caller may do. Every route of the gateway's HTTP faces says which scope it
// needs when it is registered (api/guarded_router.h); an Authenticator says who a request is of.
#pragma once

#include <array>
#include <bitset>
#include <optional>
#include <string>
#include <string_view>

#include "http/http.h"

namespace isthmus::api {

enum class Scope {
  store,     // hand instances in (STOW-RS), and ask whether they are committed
  read,      // what the gateway knows, without patient data
  read_phi,  // besides, values of patients and studies; whoever has it may read, too
  operate,   // retry, release, discard, pause, drain
  update,    // metadata of what was imported
  admin,     // tokens, senders, certificates, audit log
};
inline constexpr std::array kAllScopes{Scope::store,   Scope::read,   Scope::read_phi,
                                       Scope::operate, Scope::update, Scope::admin};
std::string_view to_string(Scope scope);  // "read-phi"
std::optional<Scope> parse_scope(std::string_view word);

// A set of scopes. Each stands for itself: admin does not read. Only read-phi brings read.
class Scopes {
 public:
  Scopes() = default;
  Scopes(std::initializer_list<Scope> scopes) {
    for (const Scope scope : scopes) add(scope);
  }
  static Scopes all();
  // Words with spaces or commas between. "api.bad_scope" (permanent) names one that is none, and
  // refuses an empty list.
  static Result<Scopes> parse(std::string_view words);

  void add(Scope scope) { bits_.set(static_cast<std::size_t>(scope)); }
  bool has(Scope scope) const;
  bool empty() const { return bits_.none(); }
  std::string text() const;  // "read operate": what parse() takes
  bool operator==(const Scopes&) const = default;

 private:
  std::bitset<kAllScopes.size()> bits_;
};

enum class Authentication {
  local,          // nothing was asked for: the listener is on loopback and asks nobody
  control_token,  // the installation's own, of the command line
  token,          // an API token
  oidc,           // a JWT of the identity provider
};
std::string_view to_string(Authentication how);

struct Caller {
  std::string name;  // "local", a token's name, or issuer's subject; printable, at most 128 bytes
  Scopes scopes;
  Authentication how = Authentication::local;
  std::string address;  // of the peer
};

// Any thread, many at once; must not wait for long.
class Authenticator {
 public:
  virtual ~Authenticator() = default;
  // Who this request is of. Refusals are permanent and say nothing that helps to guess:
  // "api.unauthorized" (no credentials, or unknown ones), "api.expired", "api.bad_host" (a
  // listener that asks nobody was called by a name that is not its own: a web page may have done
  // it). Transient: "api.keys_unavailable", "api.too_many_failures".
  virtual Result<Caller> identify(const http::Head& head) = 0;
};

}  // namespace isthmus::api
