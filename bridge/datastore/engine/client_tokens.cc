#include "datastore/engine/client_tokens.h"

namespace isthmus::datastore {

Result<std::optional<std::string>> find_token(sql::Database& database, const ClientToken& token) {
  TRY_ASSIGN(sql::Statement rows, database.query("SELECT request_digest, made_id FROM client_tokens"
                                                 " WHERE operation = ? AND scope = ? AND token = ?",
                                                 {token.operation, token.scope, token.token}));
  TRY_ASSIGN(const bool used, rows.next());
  if (!used) return std::optional<std::string>{};
  if (rows.text(0) != token.request.hex()) {
    return permanent_error("datastore.token_conflict",
                           "The clientToken was used before with another request.");
  }
  return std::optional<std::string>(rows.text(1));
}

Result<void> keep_token(sql::Database& database, const ClientToken& token,
                        const std::string& made_id) {
  TRY(
      database.run("INSERT INTO client_tokens (operation, scope, token, request_digest, made_id)"
                   " VALUES (?, ?, ?, ?, ?)",
                   {token.operation, token.scope, token.token, token.request, made_id}));
  return {};
}

}  // namespace isthmus::datastore
