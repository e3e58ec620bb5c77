// What the segmented spool asks of the ledger.
#include "ledger/spool_rows.h"

#include <fmt/format.h>

#include <charconv>

#include "ledger/sqlite/sqlite_ledger.h"
#include "ledger/sqlite/statements.h"

namespace isthmus {
namespace {

// "sequence generation", decimal.
std::string to_text(const SpoolPosition& position) {
  return fmt::format("{} {}", position.sequence, position.generation);
}

std::optional<SpoolPosition> position_from(std::string_view text) {
  SpoolPosition position;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, position.sequence);
  if (first.ec != std::errc() || first.ptr == end) return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, position.generation);
  if (second.ec != std::errc() || to_text(position) != text) return std::nullopt;
  return position;
}

}  // namespace

Result<SpoolPosition> SqliteSpoolRows::position() {
  return ledger_.read([](sql::Database& db) -> Result<SpoolPosition> {
    TRY_ASSIGN(const std::vector<Bytes> found,
               collect(db.query(statement::spool_position),
                       [](sql::Columns columns) { return columns.blob(); }));
    if (found.empty()) return SpoolPosition();
    const auto position = position_from(as_text(found.front()));
    if (position) return *position;
    return fatal_error("ledger.io", "The spool's position in the ledger is damaged: restore it.");
  });
}

Result<std::vector<Receipt>> SqliteSpoolRows::follow(std::span<const Arrival> arrivals,
                                                     const SpoolPosition& reached) {
  std::vector<KeyedHashes> hashes;
  hashes.reserve(arrivals.size());
  for (std::size_t i = 0; i < arrivals.size(); ++i) {
    // What comes together is mostly of one study.
    const Identity& identity = arrivals[i].identity;
    const bool same = i > 0 && identity.patient_id == arrivals[i - 1].identity.patient_id &&
                      identity.accession_number == arrivals[i - 1].identity.accession_number;
    hashes.push_back(same ? hashes.back() : ledger_.hashes_of(identity));
  }
  const std::string position = to_text(reached);
  std::vector<Receipt> receipts;
  Commit commit;
  commit.is_intake = true;
  commit.body = [&](Write& write) -> Result<void> {
    receipts.clear();
    for (std::size_t i = 0; i < arrivals.size(); ++i) {
      TRY_ASSIGN(const Receipt receipt, ledger_.record_one(write, arrivals[i], hashes[i]));
      // Its own row, seen again at a start: nothing was known before it.
      const bool is_own = receipt.id == arrivals[i].id;
      receipts.push_back(is_own ? Receipt{receipt.id, false} : receipt);
    }
    TRY(write.db.run(statement::note_spool_position, {as_bytes(position)}));
    return {};
  };
  TRY(ledger_.hand_over(commit));
  return receipts;
}

Result<bool> SqliteSpoolRows::move(const InstanceId& instance, const SpoolRef& from,
                                   const SpoolRef& to) {
  return ledger_.write(SqliteLedger::Wakes::nobody, [&](Write& write) -> Result<bool> {
    TRY_ASSIGN(const std::int64_t changed,
               write.db.run(statement::move_bytes, {to.text, instance, from.text}));
    return changed == 1;
  });
}

Result<bool> SqliteSpoolRows::names(const SpoolRef& ref) {
  return ledger_.read([&](sql::Database& db) -> Result<bool> {
    TRY_ASSIGN(const auto found, db.query_integer(statement::names_bytes, {ref.text}));
    return found.has_value();
  });
}

Result<std::vector<HeldInstance>> SqliteSpoolRows::held(std::string_view after,
                                                        std::string_view before,
                                                        std::size_t limit) {
  return ledger_.read([&](sql::Database& db) {
    return collect(db.query(statement::held_instances, {after, before, limit}),
                   [](sql::Columns columns) {
                     HeldInstance held;
                     held.id = id_from<InstanceId>(columns.text());
                     held.spool_ref.text = columns.text();
                     held.size_bytes = columns.unsigned_integer();
                     return held;
                   });
  });
}

}  // namespace isthmus
