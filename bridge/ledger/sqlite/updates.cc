#include "ledger/sqlite/updates.h"

#include <algorithm>

#include "ledger/sqlite/sqlite_ledger.h"
#include "ledger/sqlite/statements.h"
#include "ledger/sqlite/update_rows.h"

namespace isthmus {
namespace {

std::string text_of(sql::Columns columns) {
  return columns.text();
}

StudyAt study_of_row(sql::Columns columns) {
  StudyAt study;
  study.destination = columns.text();
  study.study_instance_uid = Uid::parse(columns.text()).value_or(Uid());
  return study;
}

Result<std::optional<MetadataOrderId>> insert_parent(Write& write, std::string_view what,
                                                     const std::string& requested_by,
                                                     std::size_t updates) {
  if (updates < 2 && what != "merge") return std::optional<MetadataOrderId>();
  const auto id = MetadataOrderId::make(write.env);
  TRY(write.db.run(statement::insert_metadata_order, {id, what, requested_by, write.now}));
  return std::optional(id);
}

// The update that this one reverts is reverted when this one is applied.
Result<void> conclude_reverted(Write& write, const MetadataUpdateRow& row) {
  if (!row.reverts || row.state != MetadataUpdateState::applied) return {};
  TRY_ASSIGN(MetadataUpdateRow original, load_metadata_update(write.db, *row.reverts));
  if (!next(original.state, MetadataUpdateEvent::revert_applied)) return {};
  return apply(write, original, MetadataUpdateEvent::revert_applied, nullptr);
}

}  // namespace

// --- orders
// --------------------------------------------------------------------------------------

Result<MetadataUpdateId> SqliteMetadataUpdates::order_one(
    Write& write, const MetadataUpdateRequest& request,
    const std::optional<MetadataOrderId>& parent, const std::string& requested_by) {
  TRY_ASSIGN(const auto destinations,
             collect(write.db.query(statement::study_destinations, {request.study_instance_uid}),
                     text_of));
  if (std::find(destinations.begin(), destinations.end(), request.destination) ==
      destinations.end()) {
    return not_found("study");
  }
  const auto id = MetadataUpdateId::make(write.env);
  std::string patient_hash;
  if (!request.patient_id.empty()) patient_hash = ledger_.hash_of_patient_id(request.patient_id);
  TRY(write.db.run(statement::insert_metadata_update,
                   {id, parent, to_string(request.kind), request.destination,
                    request.study_instance_uid, request.image_set_id, request.seen_version,
                    request.revert_to, request.include_study_image_sets, request.change.force,
                    std::nullopt, patient_hash, requested_by, write.now}));
  TRY(insert_attributes(write, id, request.change));
  TRY(note_metadata(write, id, "ordered", "", to_string(MetadataUpdateState::pending), nullptr));
  return id;
}

Result<OrderedMetadata> SqliteMetadataUpdates::order(const MetadataOrder& order) {
  return ledger_.write(SqliteLedger::Wakes::steps, [&](Write& write) -> Result<OrderedMetadata> {
    OrderedMetadata ordered;
    TRY_ASSIGN(ordered.order,
               insert_parent(write, order.what, order.requested_by, order.updates.size()));
    for (const MetadataUpdateRequest& request : order.updates) {
      TRY_ASSIGN(MetadataUpdateId id, order_one(write, request, ordered.order, order.requested_by));
      ordered.updates.push_back(std::move(id));
    }
    return ordered;
  });
}

Result<MetadataUpdateId> SqliteMetadataUpdates::revert_one(
    Write& write, const MetadataUpdateId& id, const std::optional<MetadataOrderId>& parent,
    const std::string& requested_by) {
  TRY_ASSIGN(const MetadataUpdateRow row, load_metadata_update(write.db, id));
  TRY_ASSIGN(const auto live, write.db.query_text(statement::live_revert_of, {id}));
  if (live) return id_from<MetadataUpdateId>(*live);
  TRY_ASSIGN(const auto applied, write.db.query_integer(statement::applied_metadata_steps, {id}));
  const bool can = next(row.state, MetadataUpdateEvent::revert_applied).has_value();
  if (!can || applied.value_or(0) == 0) {
    return no_transition("metadata update", to_string(row.state), "a revert");
  }
  const auto revert = MetadataUpdateId::make(write.env);
  TRY(write.db.run(statement::insert_metadata_update,
                   {revert, parent, to_string(MetadataUpdateKind::revert), row.destination,
                    row.study_instance_uid, row.image_set_id, 0, 0, false, false, id, "",
                    requested_by, write.now}));
  TRY(write.db.run(statement::copy_metadata_attributes, {revert, id}));
  TRY(note_metadata(write, revert, "ordered", "", to_string(MetadataUpdateState::pending),
                    nullptr));
  return revert;
}

Result<OrderedMetadata> SqliteMetadataUpdates::order_revert(
    const std::vector<MetadataUpdateId>& updates, const std::string& requested_by) {
  return ledger_.write(SqliteLedger::Wakes::steps, [&](Write& write) -> Result<OrderedMetadata> {
    OrderedMetadata ordered;
    TRY_ASSIGN(ordered.order, insert_parent(write, "revert", requested_by, updates.size()));
    for (const MetadataUpdateId& id : updates) {
      auto revert = revert_one(write, id, ordered.order, requested_by);
      if (!revert.ok()) {
        const bool others = updates.size() > 1 && revert.error().code == "ledger.no_transition";
        if (!others) return revert.error();
        continue;  // there is nothing to go back to in this one
      }
      ordered.updates.push_back(std::move(*revert));
    }
    if (ordered.updates.empty()) return no_transition("metadata order", "done", "a revert");
    return ordered;
  });
}

Result<void> SqliteMetadataUpdates::order_retry(const MetadataUpdateId& id) {
  return ledger_.write(SqliteLedger::Wakes::steps, [&](Write& write) -> Result<void> {
    TRY_ASSIGN(MetadataUpdateRow row, load_metadata_update(write.db, id));
    row.attempts = 0;
    row.error_code.clear();
    row.error.clear();
    return apply(write, row, MetadataUpdateEvent::retry_ordered, nullptr);
  });
}

// --- updater
// -------------------------------------------------------------------------------------

Result<std::vector<MetadataUpdateRow>> SqliteMetadataUpdates::due(std::string_view destination,
                                                                  WallTime now, std::size_t limit) {
  return ledger_.read([&](sql::Database& db) {
    return collect(db.query(statement::due_metadata_updates, {destination, now, limit}),
                   metadata_update_of);
  });
}

Result<std::optional<WallTime>> SqliteMetadataUpdates::next_at(std::string_view destination,
                                                               WallTime now) {
  return ledger_.read([&](sql::Database& db) {
    return db.query_time(statement::next_metadata_update_at, {destination, now});
  });
}

Result<MetadataUpdateDetails> SqliteMetadataUpdates::details(const MetadataUpdateId& id) {
  return ledger_.read([&](sql::Database& db) { return load_metadata_details(db, id); });
}

Result<void> SqliteMetadataUpdates::plan(const MetadataUpdateId& id,
                                         const std::vector<MetadataStep>& steps,
                                         MetadataUpdateEvent event, const Error* why) {
  return ledger_.write(SqliteLedger::Wakes::steps, [&](Write& write) -> Result<void> {
    TRY_ASSIGN(MetadataUpdateRow row, load_metadata_update(write.db, id));
    TRY(write.db.run(statement::forget_metadata_steps, {id}));
    for (const MetadataStep& step : steps) TRY(insert_step(write, id, step));
    row.attempts = 0;
    row.next_attempt_at = write.now;
    return apply(write, row, event, why);
  });
}

Result<void> SqliteMetadataUpdates::record(const MetadataUpdateId& id,
                                           const MetadataProgress& progress) {
  return ledger_.write(SqliteLedger::Wakes::steps, [&](Write& write) -> Result<void> {
    TRY_ASSIGN(MetadataUpdateDetails details, load_metadata_details(write.db, id));
    MetadataUpdateRow& row = details.row;
    if (is_final(row.state) || asks_for_person(row.state)) {
      return no_transition("metadata update", to_string(row.state), "a change of its steps");
    }
    for (const MetadataStepChange& change : progress.steps) {
      const auto step = std::find_if(details.steps.begin(), details.steps.end(),
                                     [&](const auto& one) { return one.place == change.place; });
      if (step == details.steps.end()) return not_found("metadata step");
      TRY(change_step(write, id, *step, change));
    }
    row.attempts = progress.counts_as_failure ? row.attempts + 1 : 0;
    row.next_attempt_at = progress.next.value_or(write.now);
    if (progress.why) {
      row.error_code = progress.why->code;
      row.error = progress.why->message;
    } else if (!progress.event) {
      row.error_code.clear();
      row.error.clear();
    }
    if (!progress.event) return save(write, row);
    TRY(apply(write, row, *progress.event, progress.why ? &*progress.why : nullptr));
    return conclude_reverted(write, row);
  });
}

Result<std::vector<StudyImageSet>> SqliteMetadataUpdates::image_sets(
    const StudyAt& study, std::string_view series_instance_uid, std::string_view sop_instance_uid) {
  return ledger_.read([&](sql::Database& db) {
    return collect(
        db.query(statement::metadata_image_sets, {study.destination, study.study_instance_uid,
                                                  series_instance_uid, sop_instance_uid}),
        [](sql::Columns columns) {
          StudyImageSet set;
          set.image_set_id = columns.text();
          set.primary = columns.boolean();
          return set;
        });
  });
}

// --- people
// --------------------------------------------------------------------------------------

Result<std::optional<MetadataUpdateRow>> SqliteMetadataUpdates::update(const MetadataUpdateId& id) {
  return ledger_.read([&](sql::Database& db) -> Result<std::optional<MetadataUpdateRow>> {
    TRY_ASSIGN(auto rows,
               collect(db.query(statement::load_metadata_update, {id}), metadata_update_of));
    if (rows.empty()) return std::optional<MetadataUpdateRow>();
    return std::optional(std::move(rows.front()));
  });
}

Result<std::optional<MetadataOrderRow>> SqliteMetadataUpdates::order_row(
    const MetadataOrderId& id) {
  return ledger_.read([&](sql::Database& db) -> Result<std::optional<MetadataOrderRow>> {
    TRY_ASSIGN(auto rows,
               collect(db.query(statement::load_metadata_order, {id}), [](sql::Columns columns) {
                 MetadataOrderRow row;
                 row.id = id_from<MetadataOrderId>(columns.text());
                 row.what = columns.text();
                 row.requested_by = columns.text();
                 row.requested_at = columns.time();
                 return row;
               }));
    if (rows.empty()) return std::optional<MetadataOrderRow>();
    return std::optional(std::move(rows.front()));
  });
}

Result<std::vector<MetadataUpdateRow>> SqliteMetadataUpdates::list(
    const MetadataUpdateFilter& filter, std::size_t limit) {
  return ledger_.read([&](sql::Database& db) {
    return collect(
        db.query(statement::metadata_updates_newest,
                 {filter.study_instance_uid, filter.state ? to_string(*filter.state) : "",
                  filter.order ? filter.order->text() : "",
                  filter.before ? filter.before->text() : "", limit}),
        metadata_update_of);
  });
}

Result<std::vector<HistoryEntry>> SqliteMetadataUpdates::update_history(const MetadataUpdateId& id,
                                                                        std::size_t limit) {
  return ledger_.read([&](sql::Database& db) {
    return collect(db.query(statement::metadata_story, {id, limit}), history_entry_of);
  });
}

Result<std::vector<std::string>> SqliteMetadataUpdates::destinations_of(
    const Uid& study_instance_uid) {
  return ledger_.read([&](sql::Database& db) {
    return collect(db.query(statement::study_destinations, {study_instance_uid}), text_of);
  });
}

Result<std::optional<StudyAt>> SqliteMetadataUpdates::study_of(std::string_view image_set_id) {
  return ledger_.read([&](sql::Database& db) -> Result<std::optional<StudyAt>> {
    TRY_ASSIGN(auto rows,
               collect(db.query(statement::study_of_image_set, {image_set_id}), study_of_row));
    if (image_set_id.empty() || rows.empty()) return std::optional<StudyAt>();
    return std::optional(std::move(rows.front()));
  });
}

Result<std::vector<StudyAt>> SqliteMetadataUpdates::studies_of_patient(
    const std::string& patient_id) {
  const std::string hash = ledger_.hash_of_patient_id(patient_id);
  return ledger_.read([&](sql::Database& db) {
    return collect(db.query(statement::studies_of_patient, {hash}), study_of_row);
  });
}

}  // namespace isthmus
