// Idempotency tokens: the same token with the same request names what it made the first time; with
// another request it is a conflict.
#pragma once

#include <optional>
#include <string>

#include "sql/sql.h"

namespace isthmus::datastore {

struct ClientToken {
  std::string operation;
  std::string scope;  // the data store, or empty
  std::string token;
  Digest request;  // of everything in the request but the token
};

// What the token made, if it was used before. "datastore.token_conflict" (permanent) when the
// request was another. Inside the transaction that would use it.
Result<std::optional<std::string>> find_token(sql::Database& database, const ClientToken& token);
Result<void> keep_token(sql::Database& database, const ClientToken& token,
                        const std::string& made_id);

}  // namespace isthmus::datastore
