// The gateway's own Authenticator: the installation's token of the command line, API tokens, JWTs
// of the identity provider, and, where nobody is asked, everybody who reaches the listener on
// loopback, as `local`. Why credentials were refused is counted
// (isthmus_api_credentials_refused_total), and told to nobody outside.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "api/access.h"
#include "api/token_book.h"
#include "auth/jwt.h"

namespace isthmus::api {

// With the control token: the host of this process speaks for one of its users, who may do less
// than the host. "read operate;orthanc/jane": scopes, then the name. Without that token it says
// nothing.
inline constexpr const char* kOnBehalfOfHeader = "X-Isthmus-On-Behalf-Of";

struct GatekeeperOptions {
  // Whoever shows nothing is `local` and may do everything. Only for a listener on loopback.
  bool ask_nobody = false;
  // "Authorization: Bearer <token>" of the command line; all scopes. Empty: nobody has it.
  std::string control_token = {};
  // Words of a JWT are scopes behind this: "isthmus." for "isthmus.read".
  std::string oidc_scope_prefix = {};
  // Of one address: beyond, it hears 429 until the minute is over. 0: no limit.
  std::int64_t failures_per_minute = 0;
};

class Gatekeeper : public Authenticator {
 public:
  // Either may be null: then there are none such. All must outlive it.
  Gatekeeper(Env& env, GatekeeperOptions options, const TokenBook* tokens = nullptr,
             auth::JwtVerifier* oidc = nullptr)
      : env_(env), options_(std::move(options)), tokens_(tokens), oidc_(oidc) {}
  Result<Caller> identify(const http::Head& head) override;

 private:
  Result<Caller> local(const http::Head& head) const;
  Result<Caller> of_credentials(std::string_view shown, const http::Head& head);
  Result<Caller> of_jwt(std::string_view token, const std::string& address);
  bool failed_too_often(const std::string& address);
  void note_failure(const std::string& address, const std::string& code);

  Env& env_;
  const GatekeeperOptions options_;
  const TokenBook* const tokens_;
  auth::JwtVerifier* const oidc_;

  struct Failures {
    SteadyTime since{};
    std::int64_t count = 0;
  };
  std::mutex mutex_;
  std::map<std::string, Failures, std::less<>> failures_;
};

// "127.0.0.1" and all of 127.0.0.0/8, "::1".
bool is_loopback(std::string_view address);

// Whether a listener may be opened there. "api.exposed" (permanent) says what is missing: beyond
// loopback, callers are asked who they are, and talk TLS.
Result<void> check_exposure(const std::string& address, bool asks_callers, bool tls);

}  // namespace isthmus::api
