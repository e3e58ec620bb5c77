// Access tokens of the Google faces: opaque, good for an hour, known to this process only. Any
// thread.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "base/digest.h"
#include "base/env.h"
#include "http/http.h"

namespace isthmus::datastore {

class GoogleTokens {
 public:
  static constexpr std::chrono::seconds kGoodFor{3600};

  // `open_to_all`: everybody may call, with whatever token or none.
  GoogleTokens(Env& env, bool open_to_all) : env_(env), open_to_all_(open_to_all) {}

  // A new token. "RESOURCE_EXHAUSTED" (permanent) when very many are in force.
  Result<std::string> issue();
  // Whether the request may be answered: "UNAUTHENTICATED" (permanent).
  Result<void> admit(const http::Head& head);

 private:
  Env& env_;
  const bool open_to_all_;
  std::mutex mutex_;
  std::map<Digest, WallTime> ends_;  // by the token's digest: a token is kept nowhere
};

}  // namespace isthmus::datastore
