#include "datastore/engine/google_removal.h"

#include <nlohmann/json.hpp>

#include "base/failpoint.h"
#include "datastore/engine/levels.h"
#include "datastore/engine/search_columns.h"

namespace isthmus::datastore {
namespace {

using nlohmann::json;

// What searching sees, as after an import: the levels as somebody has changed them, else the
// attributes of the instance that has been in the set longest.
Result<void> describe_again(sql::Database& database, const std::string& id) {
  TRY_ASSIGN(const auto version,
             database.query_integer("SELECT latest_version FROM image_sets WHERE id = ?", {id}));
  TRY_ASSIGN(const std::optional<Levels> changed,
             changed_levels(database, id, version.value_or(0)));
  if (changed) return describe_image_set(database, id, search_attributes(*changed));
  TRY_ASSIGN(const auto attributes,
             database.query_text("SELECT attributes FROM instances WHERE image_set = ?"
                                 " AND end_version IS NULL ORDER BY first_version, id LIMIT 1",
                                 {id}));
  const json parsed = json::parse(attributes.value_or("{}"), nullptr, false);
  if (!parsed.is_object()) return fatal_error("datastore.io", "A row of the catalogue is damaged.");
  return describe_image_set(database, id, parsed);
}

// True when the set had it.
Result<bool> erase_instance(sql::Database& database, const std::string& image_set,
                            const std::string& instance, WallTime now,
                            std::vector<std::string>& garbage) {
  TRY_ASSIGN(const std::vector<std::string> blobs,
             texts_of(database,
                      "SELECT DISTINCT blob FROM instances WHERE image_set = ?"
                      " AND sop_instance_uid = ?",
                      {image_set, instance}));
  if (blobs.empty()) return false;
  TRY_ASSIGN(const auto left,
             database.query_integer("SELECT EXISTS (SELECT 1 FROM instances WHERE image_set = ?"
                                    " AND sop_instance_uid <> ? AND end_version IS NULL)",
                                    {image_set, instance}));
  if (left.value_or(0) == 0) {
    TRY(erase_image_set(database, image_set, now, garbage));
    return true;
  }
  garbage.insert(garbage.end(), blobs.begin(), blobs.end());
  TRY(database.run("DELETE FROM instances WHERE image_set = ? AND sop_instance_uid = ?",
                   {image_set, instance}));
  FAILPOINT(datastore_deletion_erasing);
  TRY(database.run("UPDATE image_sets SET updated_at = ? WHERE id = ?", {now, image_set}));
  TRY(describe_again(database, image_set));
  return true;
}

}  // namespace

Result<std::vector<std::string>> texts_of(sql::Database& database, const char* query,
                                          sql::Values values) {
  std::vector<std::string> found;
  TRY_ASSIGN(sql::Statement rows, database.query(query, values));
  while (true) {
    TRY_ASSIGN(const bool more, rows.next());
    if (!more) return found;
    found.push_back(rows.text(0));
  }
}

Result<void> erase_image_set(sql::Database& database, const std::string& id, WallTime now,
                             std::vector<std::string>& garbage) {
  TRY_ASSIGN(const std::vector<std::string> blobs,
             texts_of(database, "SELECT DISTINCT blob FROM instances WHERE image_set = ?", {id}));
  garbage.insert(garbage.end(), blobs.begin(), blobs.end());
  TRY(database.run("DELETE FROM instances WHERE image_set = ?", {id}));
  FAILPOINT(datastore_deletion_erasing);
  TRY(database.run("DELETE FROM tags WHERE resource = ?", {id}));
  TRY(database.run("UPDATE image_set_versions SET levels = NULL WHERE image_set = ?", {id}));
  TRY(write_search_columns(database, id, json::object()));
  TRY(database.run(
      "UPDATE image_sets SET state = 'DELETED', deleted_at = ?1, updated_at = ?1, grouping = id,"
      " is_primary = 0, instance_count = 0, study_instance_uid = '', series_instance_uid = '',"
      " referring_physician = '', patient_id = '', accession_number = '', study_id = '', "
      "study_moment = '',"
      " attributes = '{}' WHERE id = ?2",
      {now, id}));
  return {};
}

Result<void> erase_instances(sql::Database& database, const std::string& data_store,
                             const InstancePath& path, WallTime now,
                             std::vector<std::string>& garbage) {
  TRY_ASSIGN(const auto busy,
             database.query_integer("SELECT EXISTS (SELECT 1 FROM image_sets WHERE data_store = ?1"
                                    " AND study_instance_uid = ?2 AND state = 'LOCKED')",
                                    {data_store, path.study}));
  if (busy.value_or(1) != 0) {
    return permanent_error("FAILED_PRECONDITION", "an image set of the study is being changed");
  }
  TRY_ASSIGN(const std::vector<std::string> sets,
             texts_of(database,
                      "SELECT id FROM image_sets WHERE data_store = ?1"
                      " AND study_instance_uid = ?2 AND state <> 'DELETED'"
                      " AND (?3 = '' OR series_instance_uid = ?3)",
                      {data_store, path.study, path.series}));
  bool any = false;
  for (const std::string& set : sets) {
    if (path.instance.empty()) {
      TRY(erase_image_set(database, set, now, garbage));
      any = true;
    } else {
      TRY_ASSIGN(const bool had, erase_instance(database, set, path.instance, now, garbage));
      any = any || had;
    }
  }
  if (!any) return permanent_error("NOT_FOUND", "there is no such study, series or instance");
  return {};
}

}  // namespace isthmus::datastore
