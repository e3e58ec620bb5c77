// Applying changes: everything of one, in the transaction that it is called in.
#include "datastore/engine/image_set_work.h"

#include "base/failpoint.h"
#include "datastore/engine/google_removal.h"
#include "datastore/engine/search_columns.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;

struct Ended {
  std::string id;
  std::int64_t version = 0;
};

Result<void> conclude(sql::Database& database, const Ended& set, const std::string& status,
                      const std::optional<std::string>& message, WallTime now) {
  TRY(
      database.run("UPDATE image_set_versions SET workflow_status = ?, message = ?, updated_at = ?"
                   " WHERE image_set = ? AND version = ?",
                   {status, message, now, set.id, set.version}));
  TRY(database.run("UPDATE image_sets SET state = 'ACTIVE', updated_at = ? WHERE id = ?",
                   {now, set.id}));
  return {};
}

Result<void> unlock_source(sql::Database& database, const json& work, const std::string& status,
                           WallTime now) {
  TRY(database.run(
      "UPDATE image_set_versions SET workflow_status = ?, updated_at = ?"
      " WHERE image_set = ? AND version = ?",
      {status, now, work.value("source", ""), work.value("sourceVersion", std::int64_t{0})}));
  TRY(database.run("UPDATE image_sets SET state = 'ACTIVE' WHERE id = ?",
                   {work.value("source", "")}));
  return {};
}

// One set takes the imports of a grouping: the primary one, or who was there first. The others have
// their own id there.
Result<void> set_grouping(sql::Database& database, const std::string& data_store,
                          const std::string& id, const Levels& levels) {
  const std::string wanted = grouping_of(levels).hex();
  TRY(
      database.run("UPDATE image_sets SET grouping = id WHERE data_store = ?1 AND grouping = ?2"
                   " AND id <> ?3 AND is_primary = 0"
                   " AND (SELECT is_primary FROM image_sets WHERE id = ?3) = 1",
                   {data_store, wanted, id}));
  TRY(
      database.run("UPDATE image_sets SET grouping = CASE WHEN EXISTS"
                   " (SELECT 1 FROM image_sets o WHERE o.data_store = ?1 AND o.grouping = ?2"
                   "  AND o.id <> ?3) THEN id ELSE ?2 END WHERE id = ?3",
                   {data_store, wanted, id}));
  return {};
}

Result<void> set_levels(sql::Database& database, const std::string& data_store, const Ended& set,
                        const Levels& levels) {
  TRY(database.run("UPDATE image_set_versions SET levels = ? WHERE image_set = ? AND version = ?",
                   {print_levels(levels), set.id, set.version}));
  TRY(describe_image_set(database, set.id, search_attributes(levels)));
  return set_grouping(database, data_store, set.id, levels);
}

Result<void> end_row(sql::Database& database, std::int64_t row, std::int64_t version) {
  TRY(database.run("UPDATE instances SET end_version = ? WHERE id = ? AND end_version IS NULL",
                   {version, row}));
  return {};
}

Result<void> apply_set(sql::Database& database, const ImageSetPlan& plan) {
  for (const std::int64_t row : plan.removed) TRY(end_row(database, row, plan.version));
  for (const InstanceEdit& edit : plan.edits) {
    TRY(end_row(database, edit.row, plan.version));
    TRY(database.run(
        "INSERT INTO instances (image_set, sop_instance_uid, first_version, blob,"
        " size_bytes, attributes, examination)"
        " SELECT image_set, ?, ?, blob, size_bytes, ?, ?"
        " FROM instances WHERE id = ?",
        {edit.sop_instance_uid, plan.version, edit.attributes, edit.examination, edit.row}));
  }
  return {};
}

// The instances become those of the version `to`.
Result<void> revert(sql::Database& database, const ImageSetPlan& plan, std::int64_t to) {
  TRY(
      database.run("UPDATE instances SET end_version = ?1 WHERE image_set = ?2"
                   " AND end_version IS NULL AND first_version > ?3",
                   {plan.version, plan.id, to}));
  TRY(
      database.run("INSERT INTO instances (image_set, sop_instance_uid, first_version, blob,"
                   " size_bytes, attributes, examination)"
                   " SELECT image_set, sop_instance_uid, ?1, blob, size_bytes, attributes,"
                   " examination FROM instances WHERE image_set = ?2 AND first_version <= ?3"
                   " AND end_version IS NOT NULL AND end_version > ?3"
                   " ORDER BY first_version, id",
                   {plan.version, plan.id, to}));
  return {};
}

Result<void> apply_update(sql::Database& database, const ChangeRow& row, const ChangePlan& plan,
                          WallTime now) {
  for (const ImageSetPlan& set : plan.updates) {
    const Ended ended{set.id, set.version};
    if (row.work.contains("revertTo")) {
      TRY(revert(database, set, row.work.value("revertTo", std::int64_t{0})));
    }
    TRY(apply_set(database, set));
    FAILPOINT(datastore_change_applying);
    TRY(set_levels(database, row.data_store, ended, set.levels));
    TRY(conclude(database, ended, "UPDATED", std::nullopt, now));
  }
  return {};
}

Result<void> apply_copy(sql::Database& database, const ChangeRow& row, const ChangePlan& plan,
                        WallTime now) {
  const json& work = row.work;
  const Ended set{work.value("destination", ""), work.value("version", std::int64_t{0})};
  for (const std::int64_t source : plan.copied) {
    TRY(
        database.run("UPDATE instances SET end_version = ?1 WHERE image_set = ?2"
                     " AND end_version IS NULL AND sop_instance_uid ="
                     " (SELECT sop_instance_uid FROM instances WHERE id = ?3)",
                     {set.version, set.id, source}));
    TRY(
        database.run("INSERT INTO instances (image_set, sop_instance_uid, first_version, blob,"
                     " size_bytes, attributes, examination)"
                     " SELECT ?, sop_instance_uid, ?, blob, size_bytes, attributes, examination"
                     " FROM instances WHERE id = ?",
                     {set.id, set.version, source}));
  }
  FAILPOINT(datastore_change_applying);
  if (work.value("promote", false)) {
    TRY(database.run("UPDATE image_sets SET is_primary = 1 WHERE id = ?", {set.id}));
    TRY(database.run(
        "UPDATE image_set_versions SET is_primary = 1 WHERE image_set = ? AND version = ?",
        {set.id, set.version}));
  }
  TRY(set_levels(database, row.data_store, set, plan.destination_levels));
  TRY(conclude(database, set, "COPIED", std::nullopt, now));
  return unlock_source(database, work, "COPIED", now);
}

Result<std::vector<std::string>> apply_deletion(sql::Database& database, const json& work,
                                                WallTime now) {
  const std::string id = work.value("imageSet", "");
  std::vector<std::string> garbage;
  TRY(
      database.run("UPDATE image_set_versions SET workflow_status = 'DELETED', updated_at = ?"
                   " WHERE image_set = ? AND version = ?",
                   {now, id, work.value("version", std::int64_t{0})}));
  FAILPOINT(datastore_change_applying);
  TRY(erase_image_set(database, id, now, garbage));
  return garbage;
}

Result<void> forget(sql::Database& database, const ChangeRow& row) {
  TRY_ASSIGN(const std::int64_t gone,
             database.run("DELETE FROM image_set_changes WHERE id = ?", {row.id}));
  if (gone != 1) return permanent_error("datastore.wrong_phase", "The change was done already.");
  return {};
}

}  // namespace

Result<std::optional<ChangeRow>> first_change(sql::Database& database) {
  TRY_ASSIGN(sql::Statement rows,
             database.query(
                 "SELECT id, data_store, kind, work FROM image_set_changes ORDER BY id LIMIT 1"));
  TRY_ASSIGN(const bool there, rows.next());
  if (!there) return std::optional<ChangeRow>{};
  ChangeRow row{rows.integer(0), rows.text(1), rows.text(2),
                json::parse(rows.text(3), nullptr, false)};
  if (!row.work.is_object()) {
    return fatal_error("datastore.io", "A row of the catalogue is damaged.");
  }
  return std::optional<ChangeRow>(std::move(row));
}

Result<std::vector<std::string>> apply_change(sql::Database& database, const ChangeRow& row,
                                              const ChangePlan& plan, WallTime now) {
  TRY(forget(database, row));
  if (row.kind == "delete") return apply_deletion(database, row.work, now);
  if (row.kind == "copy") {
    TRY(apply_copy(database, row, plan, now));
  } else {
    TRY(apply_update(database, row, plan, now));
  }
  return std::vector<std::string>{};
}

Result<std::vector<std::string>> give_up_change(sql::Database& database, const ChangeRow& row,
                                                const std::string& why, WallTime now) {
  TRY(forget(database, row));
  if (row.kind == "copy") {
    const Ended set{row.work.value("destination", ""), row.work.value("version", std::int64_t{0})};
    TRY(conclude(database, set, "COPY_FAILED", why, now));
    TRY(unlock_source(database, row.work, row.work.value("sourceStatus", "CREATED"), now));
    return std::vector<std::string>{};
  }
  for (const json& set : row.work["sets"]) {
    TRY(conclude(database, {set.value("id", ""), set.value("version", std::int64_t{0})},
                 "UPDATE_FAILED", why, now));
    FAILPOINT(datastore_change_applying);
  }
  return std::vector<std::string>{};
}

}  // namespace isthmus::datastore
