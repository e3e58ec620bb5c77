// What the batcher and the stager ask of the ledger.
#include <algorithm>

#include "ledger/sqlite/sqlite_ledger.h"
#include "ledger/sqlite/statements.h"

namespace isthmus {
namespace {

WaitingDelivery waiting_delivery_of(sql::Columns columns) {
  WaitingDelivery delivery;
  delivery.id = id_from<DeliveryId>(columns.text());
  delivery.study_instance_uid = Uid::parse(columns.text()).value_or(Uid());
  delivery.size_bytes = columns.unsigned_integer();
  delivery.received_at = columns.time();
  delivery.attempts = columns.integer();
  delivery.calling_ae_title = columns.text();
  delivery.called_ae_title = columns.text();
  delivery.modality = columns.text();
  return delivery;
}

StagingItem staging_item_of(sql::Columns columns) {
  StagingItem item;
  item.delivery = id_from<DeliveryId>(columns.text());
  item.batch = id_from<BatchId>(columns.text());
  item.instance = id_from<InstanceId>(columns.text());
  item.spool_ref.text = columns.text();
  item.size_bytes = columns.unsigned_integer();
  item.file_digest = Digest::from_hex(columns.text()).value_or(Digest());
  item.attempts = columns.integer();
  item.dataset_digest = Digest::from_hex(columns.text()).value_or(Digest());
  item.dataset_offset_bytes = columns.unsigned_integer();
  item.lane = lane_from(columns.text());
  return item;
}

struct StudyAndSize {
  std::string study_instance_uid;
  std::uint64_t size_bytes = 0;
};

Result<StudyAndSize> study_and_size(sql::Database& db, const InstanceId& instance) {
  TRY_ASSIGN(sql::Statement row, db.query(statement::study_and_size, {instance}));
  TRY_ASSIGN(const bool found, row.next());
  if (!found) return not_found("instance");
  sql::Columns columns = row.columns();
  StudyAndSize values;
  values.study_instance_uid = columns.text();
  values.size_bytes = columns.unsigned_integer();
  return values;
}

Result<void> add_member(Write& write, BatchRow& row, const DeliveryId& id) {
  Batch& batch = row.batch;
  TRY_ASSIGN(const auto joined,
             write.db.query_text(statement::join_batch, {batch.id, id, batch.destination}));
  if (!joined) {
    TRY_ASSIGN(const DeliveryRow delivery, load_delivery(write.db, id));
    return no_transition("delivery", to_string(delivery.state), "joining this batch");
  }
  TRY_ASSIGN(const StudyAndSize instance, study_and_size(write.db, id_from<InstanceId>(*joined)));
  if (batch.members == 0) {
    batch.study_instance_uid = Uid::parse(instance.study_instance_uid).value_or(Uid());
  } else if (batch.study_instance_uid.text() != instance.study_instance_uid) {
    batch.study_instance_uid = Uid();
  }
  ++batch.members;
  batch.size_bytes += instance.size_bytes;
  batch.last_joined_at = write.now;
  return {};
}

// The members of a batch that is given up for good go back to waiting, with their attempts anew.
Result<void> release_members(Write& write, const BatchId& batch) {
  TRY_ASSIGN(const auto members,
             collect(write.db.query(statement::members, {batch}),
                     [](sql::Columns columns) { return id_from<DeliveryId>(columns.text()); }));
  for (const DeliveryId& member : members) {
    TRY_ASSIGN(DeliveryRow delivery, load_delivery(write.db, member));
    delivery.batch.reset();
    delivery.upload_attempts = 0;
    delivery.import_attempts = 0;
    delivery.next_attempt_at = write.now;
    delivery.reason_code.clear();
    delivery.reason.clear();
    if (delivery.state == DeliveryState::waiting) {
      TRY(save(write, delivery));
    } else {
      TRY(apply(write, delivery, DeliveryEvent::batch_abandoned));
    }
  }
  return {};
}

// A batch that will not be looked at any more must not keep a job slot.
Result<void> lose_open_job(Write& write, const BatchId& batch, const Error* why) {
  TRY_ASSIGN(auto jobs, collect(write.db.query(statement::open_job_of, {batch}), import_job_of));
  for (ImportJob& job : jobs) TRY(apply(write, job, ImportJobEvent::not_found, why));
  return {};
}

Result<void> take_out_of_batch(Write& write, DeliveryRow& delivery) {
  if (!delivery.batch) return {};
  TRY_ASSIGN(BatchRow row, load_batch(write.db, *delivery.batch));
  TRY_ASSIGN(const StudyAndSize instance, study_and_size(write.db, delivery.instance));
  row.batch.members = std::max<std::int64_t>(row.batch.members - 1, 0);
  row.batch.size_bytes -= std::min(row.batch.size_bytes, instance.size_bytes);
  TRY(save(write, row));
  delivery.batch.reset();
  return {};
}

}  // namespace

// --- batcher
// -----------------------------------------------------------------------------------------

Result<std::vector<WaitingDelivery>> SqliteLedger::waiting_deliveries(std::string_view destination,
                                                                      WallTime now,
                                                                      std::size_t limit) {
  return read([&](sql::Database& db) {
    return collect(db.query(statement::waiting_deliveries, {destination, now, limit}),
                   waiting_delivery_of);
  });
}

Result<std::optional<WallTime>> SqliteLedger::next_waiting_at(std::string_view destination) {
  return read(
      [&](sql::Database& db) { return db.query_time(statement::next_waiting_at, {destination}); });
}

Result<std::vector<Batch>> SqliteLedger::batches(std::string_view destination, BatchState state,
                                                 std::size_t limit) {
  return read([&](sql::Database& db) {
    return collect(db.query(statement::batches, {destination, to_string(state), limit}),
                   [](sql::Columns columns) { return batch_of(columns).batch; });
  });
}

Result<std::optional<Batch>> SqliteLedger::batch(const BatchId& id) {
  return read([&](sql::Database& db) -> Result<std::optional<Batch>> {
    TRY_ASSIGN(const auto rows, collect(db.query(statement::load_batch, {id}), batch_of));
    if (rows.empty()) return std::optional<Batch>();
    return std::optional(rows.front().batch);
  });
}

Result<BatchId> SqliteLedger::join(std::string_view destination,
                                   const std::optional<BatchId>& batch,
                                   const std::vector<DeliveryId>& deliveries, Lane lane) {
  return write(Wakes::steps, [&](Write& write) -> Result<BatchId> {
    TRY_ASSIGN(BatchRow row,
               batch ? load_batch(write.db, *batch) : insert_batch(write, destination, lane));
    if (row.batch.state != BatchState::open || row.batch.destination != destination) {
      return no_transition("batch", to_string(row.batch.state), "new members");
    }
    for (const DeliveryId& delivery : deliveries) TRY(add_member(write, row, delivery));
    TRY(save(write, row));
    return row.batch.id;
  });
}

Result<void> SqliteLedger::advance(const BatchId& batch, BatchEvent event, const Error* why) {
  return write(Wakes::steps, [&](Write& write) -> Result<void> {
    TRY_ASSIGN(BatchRow row, load_batch(write.db, batch));
    switch (event) {
      case BatchEvent::seal:
        return apply(write, row, event, why);
      case BatchEvent::give_up:
        if (why != nullptr) {
          row.batch.reason_code = why->code;
          row.batch.reason = why->message;
        }
        TRY(apply(write, row, event, why));
        return lose_open_job(write, batch, why);
      case BatchEvent::retry_ordered:
        TRY(apply(write, row, event, why));
        return release_members(write, batch);
      default:  // these have effects besides, and calls of their own
        return no_transition("batch", to_string(row.batch.state), to_string(event));
    }
  });
}

// --- stager
// ------------------------------------------------------------------------------------------

Result<std::vector<StagingItem>> SqliteLedger::staging_items(std::string_view destination,
                                                             WallTime now, std::size_t limit) {
  return read([&](sql::Database& db) {
    return collect(db.query(statement::staging_items, {destination, now, limit}), staging_item_of);
  });
}

Result<std::optional<WallTime>> SqliteLedger::next_staging_at(std::string_view destination) {
  return read(
      [&](sql::Database& db) { return db.query_time(statement::next_staging_at, {destination}); });
}

Result<void> SqliteLedger::mark_staged(const DeliveryId& delivery, const std::string& etag) {
  return write(Wakes::steps, [&](Write& write) -> Result<void> {
    TRY_ASSIGN(DeliveryRow row, load_delivery(write.db, delivery));
    const auto event = DeliveryEvent::object_confirmed;
    if (!row.batch) return no_transition("delivery", "in no batch", to_string(event));
    TRY_ASSIGN(const BatchRow batch, load_batch(write.db, *row.batch));
    if (batch.batch.state != BatchState::sealed) {
      return no_transition("member of a batch", to_string(batch.batch.state), to_string(event));
    }
    row.etag = etag;
    row.upload_attempts = 0;
    row.reason_code.clear();
    row.reason.clear();
    row.next_attempt_at = write.now;
    if (!row.staged_at) row.staged_at = write.now;
    return apply(write, row, event);
  });
}

Result<void> SqliteLedger::postpone(const DeliveryId& delivery, const Error& error, WallTime next) {
  return write(Wakes::nobody, [&](Write& write) -> Result<void> {
    TRY_ASSIGN(DeliveryRow row, load_delivery(write.db, delivery));
    if (row.state != DeliveryState::waiting) {
      return no_transition("delivery", to_string(row.state), "postponing");
    }
    ++row.upload_attempts;
    row.set_reason(error);
    row.next_attempt_at = next;
    return save(write, row);
  });
}

Result<void> SqliteLedger::quarantine(const DeliveryId& delivery, DeliveryEvent event,
                                      const Error& reason) {
  return write(Wakes::steps, [&](Write& write) -> Result<void> {
    TRY_ASSIGN(DeliveryRow row, load_delivery(write.db, delivery));
    if (next(row.state, event) != DeliveryState::quarantined) {
      return no_transition("delivery", to_string(row.state), to_string(event));
    }
    TRY(take_out_of_batch(write, row));
    row.set_reason(reason);
    return apply(write, row, event, &reason);
  });
}

Result<std::vector<BatchId>> SqliteLedger::conclude_staging(std::string_view destination) {
  const auto ready = [&](sql::Database& db) {
    return collect(db.query(statement::batches_without_waiting, {destination}),
                   [](sql::Columns columns) { return id_from<BatchId>(columns.text()); });
  };
  // Asked after each of the stager's rounds, and mostly for nothing: look before waiting for the
  // writer.
  TRY_ASSIGN(const std::vector<BatchId> seen, read(ready));
  if (seen.empty()) return seen;
  return write(Wakes::steps, [&](Write& write) -> Result<std::vector<BatchId>> {
    TRY_ASSIGN(const std::vector<BatchId> batches, ready(write.db));
    std::vector<BatchId> staged;
    for (const BatchId& id : batches) {
      TRY_ASSIGN(BatchRow row, load_batch(write.db, id));
      TRY_ASSIGN(const auto members, write.db.query_integer(statement::count_members, {id}));
      row.batch.next_attempt_at = write.now;
      const bool emptied = members.value_or(0) == 0;
      TRY(apply(write, row, emptied ? BatchEvent::emptied : BatchEvent::all_staged));
      if (emptied) continue;
      TRY(write.db.run(statement::look_at_batch_now, {write.now, id}));
      staged.push_back(id);
    }
    return staged;
  });
}

}  // namespace isthmus
