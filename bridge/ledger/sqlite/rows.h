// Rows of the ledger as values: read, changed in memory, and written back under the state they were
// read in. The only code that changes a state, and it asks model/transitions.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"
#include "ledger/ledger.h"
#include "model/batch.h"
#include "model/delivery.h"
#include "model/import_job.h"
#include "model/instance.h"
#include "sql/sql.h"

namespace isthmus {

// What a write works with: the one writing connection inside a transaction, and its date.
struct Write {
  Env& env;
  sql::Database& db;
  WallTime now;
};

struct DeliveryRow {
  DeliveryId id;
  InstanceId instance;
  std::string destination;
  DeliveryState state = DeliveryState::waiting;
  WallTime state_since;
  std::optional<BatchId> batch;
  std::int64_t upload_attempts = 0;
  std::int64_t import_attempts = 0;
  std::optional<WallTime> next_attempt_at;
  std::string reason_code;
  std::string reason;
  std::string etag;
  std::optional<WallTime> staged_at;
  std::string image_set_id;
  std::optional<std::int64_t> image_set_version;
  std::optional<bool> primary;

  void set_reason(const Error& error) {
    reason_code = error.code;
    reason = error.message;
  }
};

struct BatchRow {
  Batch batch;
  std::int64_t imported = 0;
  std::int64_t rejected = 0;
  std::int64_t unaccounted = 0;
};

// A row as it stands; "ledger.not_found" when there is none.
Result<DeliveryRow> load_delivery(sql::Database& db, const DeliveryId& id);
Result<BatchRow> load_batch(sql::Database& db, const BatchId& id);
Result<ImportJob> load_import_job(sql::Database& db, const ImportJobId& id);

// What the ledger keeps of identifiers that are a patient's: HMACs under a key that never leaves
// it.
struct KeyedHashes {
  std::string patient;
  std::string accession;  // empty: no accession number
};
std::string accession_hash_of(ByteSpan key, std::string_view accession_number);

// New rows, in their first state, with their first line of history (a delivery has none: its
// instance's "received" says it).
Result<void> insert_instance(Write& write, const Arrival& arrival, const KeyedHashes& hashes,
                             const std::optional<InstanceId>& conflicts_with,
                             bool identity_conflict);
Result<DeliveryRow> insert_delivery(Write& write, const InstanceId& instance,
                                    const std::string& destination);
Result<BatchRow> insert_batch(Write& write, std::string_view destination, Lane lane);
Result<void> insert_import_job(Write& write, const ImportJob& job, const std::string& session);

// Writes the row back with whatever the caller changed in it, moved along by `event`, with a line
// of history. "ledger.no_transition" when the table does not have the pair or somebody else moved
// the row since it was read. A state that goes on by itself gets the row's date, or now; another
// loses it.
Result<void> apply(Write& write, DeliveryRow& row, DeliveryEvent event, const Error* why = nullptr);
Result<void> apply(Write& write, BatchRow& row, BatchEvent event, const Error* why = nullptr);
Result<void> apply(Write& write, ImportJob& row, ImportJobEvent event, const Error* why = nullptr);

// The same without a change of state. "ledger.no_transition" when it moved since it was read.
Result<void> save(Write& write, const DeliveryRow& row);
Result<void> save(Write& write, const BatchRow& row);
Result<void> save(Write& write, const ImportJob& row);
// A delivery that asks for a person goes back to waiting, its attempts anew. False when its state
// does not allow it: somebody else moved it.
Result<bool> retry_delivery(Write& write, const DeliveryId& id);

// One line of history.
Result<void> note(Write& write, std::string_view subject, const std::string& subject_id,
                  std::string_view event, std::string_view from, std::string_view to,
                  const Error* why = nullptr);

// A row of the statements that select these, in statements.def's order of columns.
Instance instance_of(sql::Columns columns);
Delivery delivery_of(sql::Columns columns);
BatchRow batch_of(sql::Columns columns);
ImportJob import_job_of(sql::Columns columns);
HistoryEntry history_entry_of(sql::Columns columns);

// All rows of a query, each made a value by `convert`.
template <typename Convert>
auto collect(Result<sql::Statement> rows, Convert convert)
    -> Result<std::vector<decltype(convert(std::declval<sql::Columns>()))>> {
  std::vector<decltype(convert(std::declval<sql::Columns>()))> values;
  if (!rows.ok()) return std::move(rows).error();
  for (;;) {
    TRY_ASSIGN(const bool more, rows->next());
    if (!more) return values;
    values.push_back(convert(rows->columns()));
  }
}

// Ids that we wrote ourselves. A damaged one reads as empty, and is found by nobody.
template <typename SomeId>
SomeId id_from(std::string_view text) {
  return SomeId::parse(text).value_or(SomeId());
}
template <typename SomeId>
std::optional<SomeId> optional_id_from(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  return SomeId::parse(*text);
}

Error no_transition(std::string_view subject, std::string_view from, std::string_view event);
Error not_found(std::string_view subject);

}  // namespace isthmus
