#include "ledger/sqlite/access_rows.h"

#include <limits>

#include "ledger/sqlite/sqlite_ledger.h"
#include "ledger/sqlite/statements.h"

namespace isthmus {
namespace {

constexpr std::string_view kPaused = "paused/";  // before a destination's name, in `meta`

TokenRow token_row_of(sql::Columns columns) {
  TokenRow row;
  row.id = columns.text();
  row.name = columns.text();
  row.digest = columns.text();
  row.scopes = columns.text();
  row.created_at = columns.time();
  row.expires_at = columns.optional_time();
  row.revoked_at = columns.optional_time();
  return row;
}

AuditEntry audit_entry_of(sql::Columns columns) {
  AuditEntry entry;
  entry.seq = columns.integer();
  entry.at = columns.time();
  entry.call_id = columns.text();
  entry.caller = columns.text();
  entry.authentication = columns.text();
  entry.address = columns.text();
  entry.action = columns.text();
  entry.subject = columns.text();
  entry.status = static_cast<int>(columns.integer());
  return entry;
}

}  // namespace

Result<std::vector<TokenRow>> SqliteAccessRows::tokens() {
  return ledger_.read(
      [&](sql::Database& db) { return collect(db.query(statement::tokens), token_row_of); });
}

Result<void> SqliteAccessRows::add_token(const TokenRow& row) {
  return ledger_.write(SqliteLedger::Wakes::nobody, [&](Write& write) -> Result<void> {
    TRY(write.db.run(statement::add_token, {row.id, row.name, row.digest, row.scopes,
                                            row.created_at, row.expires_at, row.revoked_at}));
    return {};
  });
}

Result<bool> SqliteAccessRows::revoke_token(std::string_view id_or_name, WallTime at) {
  return ledger_.write(SqliteLedger::Wakes::nobody, [&](Write& write) -> Result<bool> {
    TRY_ASSIGN(const std::int64_t of_id, write.db.run(statement::revoke_token, {at, id_or_name}));
    if (of_id > 0) return true;
    TRY_ASSIGN(const std::int64_t of_name,
               write.db.run(statement::revoke_token_of_name, {at, id_or_name}));
    return of_name > 0;
  });
}

Result<std::vector<std::string>> SqliteAccessRows::paused_destinations() {
  return ledger_.read([&](sql::Database& db) {
    return collect(db.query(statement::paused_destinations),
                   [](sql::Columns columns) { return columns.text().substr(kPaused.size()); });
  });
}

Result<void> SqliteAccessRows::pause_destination(std::string_view name) {
  return ledger_.write(SqliteLedger::Wakes::nobody, [&](Write& write) -> Result<void> {
    TRY(write.db.run(statement::pause_destination, {std::string(kPaused) + std::string(name)}));
    return {};
  });
}

Result<void> SqliteAccessRows::resume_destination(std::string_view name) {
  return ledger_.write(SqliteLedger::Wakes::steps, [&](Write& write) -> Result<void> {
    TRY(write.db.run(statement::resume_destination, {std::string(kPaused) + std::string(name)}));
    return {};
  });
}

Result<void> SqliteAccessRows::append(const AuditEntry& entry) {
  return ledger_.write(SqliteLedger::Wakes::nobody, [&](Write& write) -> Result<void> {
    TRY(write.db.run(statement::append_audit,
                     {entry.at, entry.call_id, entry.caller, entry.authentication, entry.address,
                      entry.action, entry.subject, entry.status}));
    return {};
  });
}

Result<std::vector<AuditEntry>> SqliteAccessRows::audit(std::int64_t before, std::size_t limit) {
  const std::int64_t below = before > 0 ? before : std::numeric_limits<std::int64_t>::max();
  return ledger_.read([&](sql::Database& db) {
    return collect(db.query(statement::audit, {below, static_cast<std::int64_t>(limit)}),
                   audit_entry_of);
  });
}

}  // namespace isthmus
