// The gateway's own Authenticator: the installation's token of the command line, and, where nobody
// is asked, everybody who reaches the listener on loopback, as `local`.
#pragma once

#include <string>

#include "api/access.h"

namespace isthmus::api {

struct GatekeeperOptions {
  // Whoever shows nothing is `local` and may do everything. Only for a listener on loopback.
  bool ask_nobody = false;
  // "Authorization: Bearer <token>" of the command line; all scopes. Empty: nobody has it.
  std::string control_token = {};
};

class Gatekeeper : public Authenticator {
 public:
  explicit Gatekeeper(GatekeeperOptions options) : options_(std::move(options)) {}
  Result<Caller> identify(const http::Head& head) override;

 private:
  Result<Caller> local(const http::Head& head) const;

  const GatekeeperOptions options_;
};

// "127.0.0.1" and all of 127.0.0.0/8, "::1".
bool is_loopback(std::string_view address);

// Whether a listener may be opened there. "api.exposed" (permanent) says what is missing: beyond
// loopback, callers are asked who they are, and talk TLS.
Result<void> check_exposure(const std::string& address, bool asks_callers, bool tls);

}  // namespace isthmus::api
