// Access tokens that calls carry as "Authorization: Bearer …" (RFC 6750).
#pragma once

#include <memory>
#include <string>

#include "base/env.h"
#include "http/http.h"

namespace isthmus {

// Any thread.
class TokenSource {
 public:
  virtual ~TokenSource() = default;
  // A token that is good for now. "auth.no_credentials" (transient: it may be had later) with what
  // to do, never with a secret.
  virtual Result<std::string> token() = 0;
  // A service answered 401 to this token: it is not given out again, should it still be the one.
  virtual void refused(const std::string& token) = 0;
};

// Always the same one; empty: none can be had.
std::unique_ptr<TokenSource> make_static_token(std::string token);

// Sends with a token. Answered 401, it has the token renewed and sends once more, as the services
// ask for (contracts/google-healthcare section 7); that a token cannot be had is the answer.
// Belongs below http::RetryingTransport. Any thread; both must outlive it.
class BearerTransport : public http::Transport {
 public:
  BearerTransport(http::Transport& next, TokenSource& tokens) : next_(next), tokens_(tokens) {}
  Result<http::Response> send(http::Request request) override;

 private:
  http::Transport& next_;
  TokenSource& tokens_;
};

}  // namespace isthmus
