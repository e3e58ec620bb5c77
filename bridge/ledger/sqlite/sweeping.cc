// What the sweeper asks of the ledger.
#include "ledger/sqlite/sqlite_ledger.h"
#include "ledger/sqlite/statements.h"

namespace isthmus {
namespace {

Sweepable sweepable_of(sql::Columns columns) {
  Sweepable sweepable;
  sweepable.instance = id_from<InstanceId>(columns.text());
  sweepable.spool_ref.text = columns.text();
  return sweepable;
}

Result<void> require_instance(sql::Database& db, const InstanceId& id, std::string_view what) {
  TRY_ASSIGN(const auto found, db.query_integer(statement::has_instance, {id}));
  if (!found) return not_found("instance");
  return no_transition("instance", "in another state", what);
}

}  // namespace

Result<std::vector<Batch>> SqliteLedger::batches_with_objects(std::string_view destination,
                                                              WallTime ended_before,
                                                              std::size_t limit) {
  return read([&](sql::Database& db) {
    return collect(db.query(statement::batches_with_objects, {destination, ended_before, limit}),
                   [](sql::Columns columns) { return batch_of(columns).batch; });
  });
}

Result<void> SqliteLedger::note_objects_removed(const BatchId& batch) {
  return write(Wakes::nobody, [&](Write& write) -> Result<void> {
    TRY_ASSIGN(const std::int64_t changed,
               write.db.run(statement::note_objects_removed, {write.now, batch}));
    if (changed == 1) return {};
    TRY_ASSIGN(const BatchRow row, load_batch(write.db, batch));
    return no_transition("batch", to_string(row.batch.state), "the removal of its objects");
  });
}

Result<std::vector<Sweepable>> SqliteLedger::sweepable(WallTime imported_before,
                                                       std::size_t limit) {
  return read([&](sql::Database& db) {
    return collect(db.query(statement::sweepable, {imported_before, limit}), sweepable_of);
  });
}

Result<SpoolRef> SqliteLedger::claim_freeing(const InstanceId& instance) {
  return write(Wakes::nobody, [&](Write& write) -> Result<SpoolRef> {
    // I5 is asked of the deliveries themselves once more, not only of the date.
    TRY_ASSIGN(const std::int64_t changed,
               write.db.run(statement::claim_freeing, {write.now, instance}));
    if (changed != 1) TRY(require_instance(write.db, instance, "a claim to be freed"));
    TRY_ASSIGN(const auto ref, write.db.query_text(statement::spool_ref_of, {instance}));
    return SpoolRef{ref.value_or("")};
  });
}

Result<void> SqliteLedger::note_freed(const InstanceId& instance) {
  return write(Wakes::nobody, [&](Write& write) -> Result<void> {
    TRY_ASSIGN(const std::int64_t changed,
               write.db.run(statement::note_freed, {write.now, instance}));
    if (changed == 1) return {};
    return require_instance(write.db, instance, "being freed without a claim");
  });
}

Result<std::vector<Sweepable>> SqliteLedger::being_freed() {
  return read(
      [&](sql::Database& db) { return collect(db.query(statement::being_freed), sweepable_of); });
}

}  // namespace isthmus
