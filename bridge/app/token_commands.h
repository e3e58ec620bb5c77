// `isthmus token …`: who may call the HTTP port by a token.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/commands.h"

namespace isthmus::app {

struct TokenWishes {
  std::string name;
  std::vector<std::string> scopes;
  std::int64_t expires_in_days = 0;  // 0: never
};
// By the daemon when it runs, in the ledger itself when it does not. Says the token, once.
int add_token(const Invocation& invocation, const TokenWishes& wishes, bool json);
int revoke_token(const Invocation& invocation, const std::string& id_or_name);
int list_tokens(const Invocation& invocation, bool json);

}  // namespace isthmus::app
