#include "ledger/sqlite/sender_rows.h"

#include "ledger/sqlite/sqlite_ledger.h"
#include "ledger/sqlite/statements.h"

namespace isthmus {
namespace {

SenderRow sender_row_of(sql::Columns columns) {
  SenderRow row;
  row.name = columns.text();
  row.blocked = columns.boolean();
  row.definition = columns.text();
  row.changed_at = columns.time();
  return row;
}

RefusedSender refused_sender_of(sql::Columns columns) {
  RefusedSender refused;
  refused.calling_ae_title = columns.text();
  refused.called_ae_title = columns.text();
  refused.peer_address = columns.text();
  refused.certificate_fingerprint = columns.text();
  refused.certificate_name = columns.text();
  refused.reason = columns.text();
  refused.asked = columns.text();
  refused.times = columns.integer();
  refused.first_at = columns.time();
  refused.last_at = columns.time();
  return refused;
}

Result<void> upsert(sql::Database& db, const RefusedSender& one) {
  TRY(db.run(
      statement::remember_refused_sender,
      {one.calling_ae_title, one.called_ae_title, one.peer_address, one.certificate_fingerprint,
       one.certificate_name, one.reason, one.asked, one.times, one.first_at, one.last_at}));
  return {};
}

Result<std::int64_t> shorten(sql::Database& db, const std::string& address) {
  TRY_ASSIGN(const auto of_address,
             db.query_integer(statement::count_refused_of_address, {address}));
  std::int64_t forgotten = 0;
  const std::int64_t excess = of_address.value_or(0) - SenderRows::kMostRefusedOfAddress;
  if (excess > 0) {
    TRY_ASSIGN(forgotten, db.run(statement::forget_oldest_of_address, {address, excess}));
  }
  TRY_ASSIGN(const auto all, db.query_integer(statement::count_refused_senders));
  const std::int64_t surplus = all.value_or(0) - SenderRows::kMostRefused;
  if (surplus <= 0) return forgotten;
  TRY_ASSIGN(const std::int64_t more, db.run(statement::forget_oldest_refused, {surplus}));
  return forgotten + more;
}

}  // namespace

Result<std::vector<SenderRow>> SqliteSenderRows::senders() {
  return ledger_.read(
      [&](sql::Database& db) { return collect(db.query(statement::senders), sender_row_of); });
}

Result<void> SqliteSenderRows::put(const SenderRow& row) {
  return ledger_.write(SqliteLedger::Wakes::nobody, [&](Write& write) -> Result<void> {
    TRY(write.db.run(statement::put_sender,
                     {row.name, row.blocked ? 1 : 0, row.definition, row.changed_at}));
    return {};
  });
}

Result<bool> SqliteSenderRows::remove(std::string_view name) {
  return ledger_.write(SqliteLedger::Wakes::nobody, [&](Write& write) -> Result<bool> {
    TRY_ASSIGN(const std::int64_t removed, write.db.run(statement::remove_sender, {name}));
    return removed > 0;
  });
}

Result<std::int64_t> SqliteSenderRows::remember(const std::vector<RefusedSender>& refused) {
  return ledger_.write(SqliteLedger::Wakes::nobody, [&](Write& write) -> Result<std::int64_t> {
    std::int64_t forgotten = 0;
    for (const RefusedSender& one : refused) {
      TRY(upsert(write.db, one));
      TRY_ASSIGN(const std::int64_t more, shorten(write.db, one.peer_address));
      forgotten += more;
    }
    return forgotten;
  });
}

Result<std::vector<RefusedSender>> SqliteSenderRows::refused() {
  return ledger_.read([&](sql::Database& db) {
    return collect(db.query(statement::refused_senders), refused_sender_of);
  });
}

Result<std::int64_t> SqliteSenderRows::forget(std::string_view calling_ae_title,
                                              std::string_view peer_address) {
  return ledger_.write(SqliteLedger::Wakes::nobody, [&](Write& write) {
    return write.db.run(statement::forget_refused_sender,
                        {calling_ae_title, peer_address, peer_address});
  });
}

}  // namespace isthmus
