// Who we are towards AWS-style services.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/env.h"

namespace isthmus {

struct Credentials {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;  // empty for long-lived keys
  std::optional<WallTime> expires_at;
  bool operator==(const Credentials&) const = default;
};

// Any thread. "auth.no_credentials" (transient: they may appear) when there are none.
class CredentialsSource {
 public:
  virtual ~CredentialsSource() = default;
  virtual Result<Credentials> credentials() = 0;
};

std::unique_ptr<CredentialsSource> make_static_credentials(Credentials credentials);

}  // namespace isthmus
