// What the ledger keeps of those who call: API tokens (never the secrets themselves), destinations
// that they paused, and the audit log, to which rows are added and nothing else. Threads,
// durability and errors are those of ledger/ledger.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"

namespace isthmus {

struct TokenRow {
  std::string id;      // 16 lower-case hex digits; stands in the token in clear
  std::string name;    // 1 to 64 characters; of one token in force at a time
  std::string digest;  // SHA-256 of the whole token, 64 hex digits
  std::string scopes;  // words with a space between; api/access.h reads and writes them
  WallTime created_at;
  std::optional<WallTime> expires_at;
  std::optional<WallTime> revoked_at;
};

// A call that changes something has two entries with the same call id: one before anything was
// done, one with the answer. The first without the second: how it ended is not known.
struct AuditEntry {
  std::int64_t seq = 0;  // given by the ledger, growing
  WallTime at;
  std::string call_id;
  std::string caller;
  std::string authentication;  // "token"
  std::string address;
  std::string action;   // method and path template: "POST /v1/deliveries/{id}/retry"
  std::string subject;  // the path's parameters: UIDs, ids, names of ours
  int status = 0;       // of the answer; 0: not answered yet
};

class AccessRows {
 public:
  virtual ~AccessRows() = default;

  // All, revoked and expired ones too, in order of creation.
  virtual Result<std::vector<TokenRow>> tokens() = 0;
  // "ledger.constraint" when the id, or the name of one in force, is taken.
  virtual Result<void> add_token(const TokenRow& row) = 0;
  // The token in force of that id or name; false when there is none.
  virtual Result<bool> revoke_token(std::string_view id_or_name, WallTime at) = 0;

  // Names, in order. A pause survives restarts; pausing twice or resuming what goes on is no error.
  virtual Result<std::vector<std::string>> paused_destinations() = 0;
  virtual Result<void> pause_destination(std::string_view name) = 0;
  virtual Result<void> resume_destination(std::string_view name) = 0;

  virtual Result<void> append(const AuditEntry& entry) = 0;
  // The newest first, of those before `before` (0: from the newest on).
  virtual Result<std::vector<AuditEntry>> audit(std::int64_t before, std::size_t limit) = 0;
};

}  // namespace isthmus
