// How an import becomes visible: image sets, versions and instances of all examined files of a job,
// in one transaction.
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/failpoint.h"
#include "datastore/engine/image_sets.h"
#include "datastore/engine/import_jobs.h"
#include "datastore/engine/levels.h"

namespace isthmus::datastore {
namespace {

// A Healthcare import ignores what is there already, by the three UIDs, and keeps the first of what
// comes twice; series hold together whatever else their files say.
class GoogleRules {
 public:
  explicit GoogleRules(const ImportJobRecord& job)
      : applies_(is_google_uri(job.input_s3_uri)), data_store_(job.data_store) {}
  bool applies() const { return applies_; }

  Result<bool> ignores(sql::Database& database, const std::string& study, const std::string& series,
                       const std::string& instance) {
    if (!seen_.insert(study + " " + series + " " + instance).second) return true;
    TRY_ASSIGN(const auto there,
               database.query_integer("SELECT 1 FROM image_sets s JOIN instances i"
                                      " ON i.image_set = s.id AND i.end_version IS NULL"
                                      " WHERE s.data_store = ? AND s.series_instance_uid = ?"
                                      " AND s.study_instance_uid = ? AND s.state <> 'DELETED'"
                                      " AND i.sop_instance_uid = ? LIMIT 1",
                                      {data_store_, series, study, instance}));
    return there.has_value();
  }
  static Digest grouping(const std::string& study, const std::string& series) {
    return sha256("series " + study + " " + series);
  }

 private:
  const bool applies_;
  const std::string data_store_;
  std::set<std::string> seen_;
};

struct ExaminedFiles {
  std::vector<std::int64_t> ordinals;
  std::vector<FileToPlace> files;
};

Result<ExaminedFiles> read_examined(sql::Database& database, const ImportJobRecord& job) {
  ExaminedFiles examined;
  GoogleRules rules(job);
  TRY_ASSIGN(sql::Statement rows,
             database.query("SELECT ordinal, sop_instance_uid, series_instance_uid, grouping,"
                            " COALESCE(json_extract(attributes, '$.StudyInstanceUID'), '')"
                            " FROM import_files WHERE job = ? AND state = 'examined'"
                            " ORDER BY ordinal",
                            {job.id}));
  while (true) {
    TRY_ASSIGN(const bool more, rows.next());
    if (!more) return examined;
    std::optional<Digest> grouping = Digest::from_hex(rows.text(3));
    if (!grouping) return fatal_error("datastore.io", "A row of the catalogue is damaged.");
    if (rules.applies()) {
      TRY_ASSIGN(const bool ignored,
                 rules.ignores(database, rows.text(4), rows.text(2), rows.text(1)));
      if (ignored) continue;
      grouping = GoogleRules::grouping(rows.text(4), rows.text(2));
    }
    examined.ordinals.push_back(rows.integer(0));
    examined.files.push_back({rows.text(1), rows.text(2), *grouping});
  }
}

Result<std::vector<KnownImageSet>> read_known(sql::Database& database,
                                              const std::string& data_store,
                                              const std::vector<FileToPlace>& files) {
  std::vector<KnownImageSet> known;
  std::map<std::string, bool> seen;
  for (const FileToPlace& file : files) {
    if (!seen.emplace(file.series_instance_uid, true).second) continue;
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT id, grouping, is_primary, latest_version, state"
                              " FROM image_sets WHERE data_store = ?"
                              " AND series_instance_uid = ? AND state <> 'DELETED'",
                              {data_store, file.series_instance_uid}));
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) break;
      // A set that no imports join has its id there, which is no file's grouping.
      const std::optional<Digest> grouping = Digest::from_hex(rows.text(1));
      known.push_back({rows.text(0), file.series_instance_uid,
                       grouping.value_or(sha256(rows.text(1))), rows.integer(2) != 0,
                       rows.integer(3)});
      if (rows.text(4) == "LOCKED") {
        return transient_error("datastore.image_set_locked",
                               "An image set of the series is being changed: wait for its end.");
      }
    }
  }
  return known;
}

// A new set's row, to be filled in by describe_set() once it has instances.
Result<void> insert_set(sql::Database& database, const std::string& data_store,
                        const PlannedImageSet& set, WallTime now) {
  TRY(
      database.run("INSERT INTO image_sets (id, data_store, grouping, is_primary, latest_version,"
                   " created_at, updated_at, instance_count, study_instance_uid,"
                   " series_instance_uid, patient_id, accession_number, study_id, study_moment,"
                   " attributes) VALUES (?, ?, ?, ?, ?, ?, ?, 0, '', ?, '', '', '', '', '{}')",
                   {set.id, data_store, set.grouping, set.is_primary, set.version, now, now,
                    set.series_instance_uid}));
  return {};
}

// What searching sees: the levels as somebody has changed them; before that the attributes of the
// instance that has been in the set longest, which is also where the metadata document takes its
// upper levels from.
Result<void> describe_set(sql::Database& database, const PlannedImageSet& set, WallTime now) {
  TRY(database.run("UPDATE image_sets SET latest_version = ?, updated_at = ? WHERE id = ?",
                   {set.version, now, set.id}));
  TRY_ASSIGN(const std::optional<Levels> changed, changed_levels(database, set.id, set.version));
  if (changed) return describe_image_set(database, set.id, search_attributes(*changed));
  TRY_ASSIGN(const auto attributes,
             database.query_text("SELECT attributes FROM instances WHERE image_set = ?"
                                 " AND end_version IS NULL ORDER BY first_version, id LIMIT 1",
                                 {set.id}));
  const auto parsed = nlohmann::json::parse(attributes.value_or("{}"), nullptr, false);
  if (!parsed.is_object()) return fatal_error("datastore.io", "A row of the catalogue is damaged.");
  return describe_image_set(database, set.id, parsed);
}

Result<void> insert_instances(sql::Database& database, const std::string& job,
                              const PlannedImageSet& set, const ExaminedFiles& examined) {
  for (const std::size_t index : set.instances) {
    TRY(
        database.run("UPDATE instances SET end_version = ? WHERE image_set = ?"
                     " AND sop_instance_uid = ? AND end_version IS NULL",
                     {set.version, set.id, examined.files[index].sop_instance_uid}));
    TRY(
        database.run("INSERT INTO instances (image_set, sop_instance_uid, first_version, blob,"
                     " size_bytes, attributes, examination)"
                     " SELECT ?, sop_instance_uid, ?, blob, size_bytes, attributes, examination"
                     " FROM import_files WHERE job = ? AND ordinal = ?",
                     {set.id, set.version, job, examined.ordinals[index]}));
  }
  for (const std::size_t index : set.files) {
    TRY(
        database.run("UPDATE import_files SET image_set = ?, image_set_version = ?,"
                     " examination = NULL WHERE job = ? AND ordinal = ?",
                     {set.id, set.version, job, examined.ordinals[index]}));
  }
  return {};
}

Result<void> insert_version(sql::Database& database, const PlannedImageSet& set,
                            const std::string& job, WallTime now) {
  TRY(database.run(
      "INSERT INTO image_set_versions (image_set, version, workflow_status, is_primary,"
      " created_at, updated_at, import_job)"
      " SELECT ?, ?, ?, ?, created_at, ?, ? FROM image_sets WHERE id = ?",
      {set.id, set.version, set.is_new ? "CREATED" : "IMPORTED", set.is_primary, now, job,
       set.id}));
  return {};
}

}  // namespace

Result<void> ImportJobs::publish(const ImportJobRecord& job) {
  const WallTime now = env_.clock.wall_now();
  const Result<void> written = catalogue_.write([&](sql::Database& database) -> Result<void> {
    TRY_ASSIGN(const std::int64_t moved,
               database.run("UPDATE import_jobs SET phase = 'published'"
                            " WHERE id = ? AND phase = 'listed' AND status = 'IN_PROGRESS'",
                            {job.id}));
    if (moved != 1) {
      return permanent_error("datastore.wrong_phase", "The job is not where it can be published.");
    }
    TRY_ASSIGN(const ExaminedFiles examined, read_examined(database, job));
    TRY_ASSIGN(const std::vector<KnownImageSet> known,
               read_known(database, job.data_store, examined.files));
    const std::vector<PlannedImageSet> plan =
        plan_image_sets(examined.files, known, [this] { return make_id_text(env_); });
    for (const PlannedImageSet& set : plan) {
      if (set.is_new) TRY(insert_set(database, job.data_store, set, now));
      TRY(insert_instances(database, job.id, set, examined));
      TRY(insert_version(database, set, job.id, now));
      TRY(describe_set(database, set, now));
    }
    return {};
  });
  TRY(written);
  FAILPOINT(datastore_image_sets_published);
  return {};
}

}  // namespace isthmus::datastore
