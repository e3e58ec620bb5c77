#include "datastore/engine/google_stores.h"

#include <nlohmann/json.hpp>

#include "datastore/engine/google_removal.h"

namespace isthmus::datastore {
namespace {

Error not_found(const char* what) {
  return permanent_error("NOT_FOUND", std::string(what) + " not found");
}

GoogleStore read_store(sql::Columns columns) {
  GoogleStore store;
  store.name = columns.text();
  store.data_store = columns.text();
  store.labels = columns.text();
  return store;
}

constexpr const char* kOperation =
    "SELECT o.id, o.dataset, o.store, COALESCE(o.job, ''), o.method, o.response, o.created_at,"
    " o.ended_at, o.cancel_requested, o.error_code, o.error_message,"
    " o.success + (SELECT COUNT(*) FROM import_files f WHERE f.job = o.job AND o.ended_at IS NULL"
    "              AND f.state = 'examined'),"
    " o.failure + (SELECT COUNT(*) FROM import_files f WHERE f.job = o.job AND o.ended_at IS NULL"
    "              AND f.state = 'failed'),"
    " (SELECT COUNT(*) FROM import_files f WHERE f.job = o.job AND o.ended_at IS NULL"
    "  AND f.state = 'pending') FROM google_operations o ";

GoogleOperation read_operation(sql::Columns columns) {
  GoogleOperation operation;
  operation.id = columns.integer();
  operation.dataset = columns.text();
  operation.store = columns.text();
  operation.job = columns.text();
  operation.method = columns.text();
  operation.response = columns.text();
  operation.created_at = columns.time();
  operation.ended_at = columns.optional_time();
  operation.cancel_requested = columns.boolean();
  operation.error_code = columns.integer();
  operation.error_message = columns.text();
  operation.success = columns.integer();
  operation.failure = columns.integer();
  operation.pending = columns.integer();
  return operation;
}

Result<GoogleOperation> find_operation(sql::Database& database, const std::string& dataset,
                                       std::int64_t id) {
  TRY_ASSIGN(
      sql::Statement rows,
      database.query(std::string(kOperation) + "WHERE o.id = ? AND o.dataset = ?", {id, dataset}));
  TRY_ASSIGN(const bool there, rows.next());
  if (!there) return not_found("operation");
  return read_operation(rows.columns());
}

Result<std::int64_t> insert_operation(sql::Database& database, const GoogleOperation& operation) {
  const std::optional<std::string> job =
      operation.job.empty() ? std::nullopt : std::optional(operation.job);
  TRY(
      database.run("INSERT INTO google_operations (dataset, store, job, method, response,"
                   " created_at, ended_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                   {operation.dataset, operation.store, job, operation.method, operation.response,
                    operation.created_at, operation.ended_at}));
  TRY_ASSIGN(const auto id, database.query_integer("SELECT MAX(id) FROM google_operations"));
  return id.value_or(0);
}

// All that a store holds; its data store is DELETED.
Result<void> empty_store(sql::Database& database, const GoogleStore& store, WallTime now,
                         std::vector<std::string>& garbage) {
  TRY_ASSIGN(const auto busy,
             database.query_integer("SELECT EXISTS (SELECT 1 FROM import_jobs WHERE data_store = ?"
                                    " AND status IN ('SUBMITTED', 'IN_PROGRESS'))",
                                    {store.data_store}));
  if (busy.value_or(1) != 0) {
    return permanent_error("FAILED_PRECONDITION", "the DICOM store has an import that goes on");
  }
  TRY_ASSIGN(
      const std::vector<std::string> sets,
      texts_of(database, "SELECT id FROM image_sets WHERE data_store = ?", {store.data_store}));
  for (const std::string& set : sets) TRY(erase_image_set(database, set, now, garbage));
  TRY(database.run("DELETE FROM google_stores WHERE name = ?", {store.name}));
  TRY(database.run("UPDATE data_stores SET status = 'DELETED', updated_at = ? WHERE id = ?",
                   {now, store.data_store}));
  return {};
}

Result<std::vector<GoogleStore>> stores_of(sql::Database& database, const std::string& dataset,
                                           const std::string& after, std::size_t limit) {
  std::vector<GoogleStore> stores;
  TRY_ASSIGN(sql::Statement rows,
             database.query("SELECT name, data_store, labels FROM google_stores"
                            " WHERE dataset = ? AND name > ? ORDER BY name LIMIT ?",
                            {dataset, after, limit}));
  while (true) {
    TRY_ASSIGN(const bool more, rows.next());
    if (!more) return stores;
    stores.push_back(read_store(rows.columns()));
  }
}

}  // namespace

Result<GoogleOperation> GoogleStores::create_dataset(const GoogleDataset& wanted) {
  const WallTime now = env_.clock.wall_now();
  return catalogue_.write([&](sql::Database& database) -> Result<GoogleOperation> {
    TRY_ASSIGN(const std::int64_t made,
               database.run("INSERT OR IGNORE INTO google_datasets (name, time_zone, created_at)"
                            " VALUES (?, ?, ?)",
                            {wanted.name, wanted.time_zone, now}));
    if (made == 0) return permanent_error("ALREADY_EXISTS", "already exists");
    GoogleOperation operation;
    operation.dataset = wanted.name;
    operation.method = "google.cloud.healthcare.v1.dataset.DatasetService.CreateDataset";
    nlohmann::json response = {
        {"@type", "type.googleapis.com/google.cloud.healthcare.v1.dataset.Dataset"},
        {"name", wanted.name}};
    if (!wanted.time_zone.empty()) response["timeZone"] = wanted.time_zone;
    operation.response = response.dump();
    operation.created_at = now;
    operation.ended_at = now;
    TRY_ASSIGN(operation.id, insert_operation(database, operation));
    return operation;
  });
}

Result<GoogleDataset> GoogleStores::dataset(const std::string& name) {
  return catalogue_.read([&](sql::Database& database) -> Result<GoogleDataset> {
    TRY_ASSIGN(const auto zone,
               database.query_text("SELECT time_zone FROM google_datasets WHERE name = ?", {name}));
    if (!zone) return not_found("dataset");
    return GoogleDataset{name, *zone};
  });
}

Result<std::vector<GoogleDataset>> GoogleStores::datasets(const std::string& location,
                                                          const std::string& after,
                                                          std::size_t limit) {
  using Datasets = std::vector<GoogleDataset>;
  return catalogue_.read([&](sql::Database& database) -> Result<Datasets> {
    Datasets datasets;
    // '0' is the character behind '/'.
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT name, time_zone FROM google_datasets"
                              " WHERE name > ?1 AND name > ?2 AND name < ?3 ORDER BY name LIMIT ?4",
                              {location + "/", after, location + "0", limit}));
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) return datasets;
      datasets.push_back({rows.text(0), rows.text(1)});
    }
  });
}

Result<std::vector<std::string>> GoogleStores::remove_dataset(const std::string& name) {
  using Blobs = std::vector<std::string>;
  const WallTime now = env_.clock.wall_now();
  return catalogue_.write([&](sql::Database& database) -> Result<Blobs> {
    Blobs garbage;
    TRY_ASSIGN(const std::vector<GoogleStore> stores,
               stores_of(database, name, "", std::size_t{1'000'000}));
    for (const GoogleStore& store : stores) TRY(empty_store(database, store, now, garbage));
    TRY_ASSIGN(const std::int64_t gone,
               database.run("DELETE FROM google_datasets WHERE name = ?", {name}));
    if (gone == 0) return not_found("dataset");
    return garbage;
  });
}

Result<GoogleStore> GoogleStores::create_store(const std::string& dataset, const std::string& id,
                                               const std::string& labels) {
  const std::string name = dataset + "/dicomStores/" + id;
  TRY(this->dataset(dataset));
  if (store(name)) return permanent_error("ALREADY_EXISTS", "already exists");
  DataStoreRecord wanted;
  wanted.name = "google-" + sha256(name).hex().substr(0, 32);
  wanted.lossless_storage_format = "HTJ2K";
  TRY_ASSIGN(const DataStoreRecord made,
             data_stores_.create(wanted, {}, {"google", "", make_id_text(env_), sha256(name)}));
  const GoogleStore store{name, made.id, labels};
  const Result<void> written = catalogue_.write([&](sql::Database& database) -> Result<void> {
    TRY_ASSIGN(const auto there,
               database.query_integer("SELECT 1 FROM google_datasets WHERE name = ?", {dataset}));
    if (!there) return not_found("dataset");
    TRY_ASSIGN(const std::int64_t inserted,
               database.run("INSERT OR IGNORE INTO google_stores (name, dataset, data_store,"
                            " labels, created_at) VALUES (?, ?, ?, ?, ?)",
                            {name, dataset, made.id, labels, env_.clock.wall_now()}));
    if (inserted == 0) return permanent_error("ALREADY_EXISTS", "already exists");
    return {};
  });
  if (!written) {
    ignore(data_stores_.remove(made.id), "an empty data store that nothing names does no harm");
    return written.error();
  }
  return store;
}

Result<GoogleStore> GoogleStores::store(const std::string& name) {
  return catalogue_.read([&](sql::Database& database) -> Result<GoogleStore> {
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT name, data_store, labels FROM google_stores WHERE name = ?",
                              {name}));
    TRY_ASSIGN(const bool there, rows.next());
    if (!there) return not_found("DICOM store");
    return read_store(rows.columns());
  });
}

Result<std::vector<GoogleStore>> GoogleStores::stores(const std::string& dataset,
                                                      const std::string& after, std::size_t limit) {
  TRY(this->dataset(dataset));
  return catalogue_.read(
      [&](sql::Database& database) { return stores_of(database, dataset, after, limit); });
}

Result<std::vector<std::string>> GoogleStores::remove_store(const std::string& name) {
  using Blobs = std::vector<std::string>;
  TRY_ASSIGN(const GoogleStore found, store(name));
  const WallTime now = env_.clock.wall_now();
  return catalogue_.write([&](sql::Database& database) -> Result<Blobs> {
    Blobs garbage;
    TRY(empty_store(database, found, now, garbage));
    return garbage;
  });
}

// The job first: an operation names one that is there. Killed in between, the job goes on without
// an operation that anybody was told of.
Result<GoogleOperation> GoogleStores::import(const GoogleStore& store, const std::string& uri) {
  ImportJobRecord wanted;
  wanted.data_store = store.data_store;
  wanted.name = "google";
  wanted.input_s3_uri = uri;
  GoogleOperation operation;
  operation.dataset = store.name.substr(0, store.name.find("/dicomStores/"));
  operation.store = store.name;
  operation.method = "google.cloud.healthcare.v1.dicom.DicomService.ImportDicomData";
  operation.response =
      R"({"@type":"type.googleapis.com/google.cloud.healthcare.v1.dicom.ImportDicomDataResponse"})";
  operation.created_at = env_.clock.wall_now();
  const std::string token = make_id_text(env_);
  TRY_ASSIGN(const ImportJobRecord job,
             jobs_.accept(wanted, {"ImportDicomData", store.data_store, token, sha256(token)},
                          [&](sql::Database& database, const std::string& id) -> Result<void> {
                            operation.job = id;
                            TRY_ASSIGN(operation.id, insert_operation(database, operation));
                            return {};
                          }));
  return operation;
}

Result<GoogleStores::Removal> GoogleStores::remove(const GoogleStore& store,
                                                   const InstancePath& path) {
  const WallTime now = env_.clock.wall_now();
  return catalogue_.write([&](sql::Database& database) -> Result<Removal> {
    Removal removal;
    TRY(erase_instances(database, store.data_store, path, now, removal.garbage));
    if (!path.instance.empty()) return removal;
    GoogleOperation& operation = removal.operation;
    operation.dataset = store.name.substr(0, store.name.find("/dicomStores/"));
    operation.store = store.name;
    operation.method = std::string("google.cloud.healthcare.v1.dicom.DicomService.") +
                       (path.series.empty() ? "DeleteStudy" : "DeleteSeries");
    operation.response = R"({"@type":"type.googleapis.com/google.protobuf.Empty"})";
    operation.created_at = now;
    operation.ended_at = now;
    TRY_ASSIGN(operation.id, insert_operation(database, operation));
    return removal;
  });
}

Result<GoogleOperation> GoogleStores::operation(const std::string& dataset, std::int64_t id) {
  return catalogue_.read(
      [&](sql::Database& database) { return find_operation(database, dataset, id); });
}

Result<std::vector<GoogleOperation>> GoogleStores::operations(const std::string& dataset,
                                                              std::optional<bool> done,
                                                              std::int64_t after,
                                                              std::size_t limit) {
  using Operations = std::vector<GoogleOperation>;
  return catalogue_.read([&](sql::Database& database) -> Result<Operations> {
    Operations operations;
    const std::string which = !done   ? ""
                              : *done ? " AND o.ended_at IS NOT NULL"
                                      : " AND o.ended_at IS NULL";
    TRY_ASSIGN(sql::Statement rows,
               database.query(std::string(kOperation) + "WHERE o.dataset = ? AND o.id > ?" + which +
                                  " ORDER BY o.id LIMIT ?",
                              {dataset, after, limit}));
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) return operations;
      operations.push_back(read_operation(rows.columns()));
    }
  });
}

Result<void> GoogleStores::cancel(const std::string& dataset, std::int64_t id) {
  return catalogue_.write([&](sql::Database& database) -> Result<void> {
    TRY(find_operation(database, dataset, id));
    TRY(
        database.run("UPDATE google_operations SET cancel_requested = 1 WHERE id = ?"
                     " AND ended_at IS NULL",
                     {id}));
    return {};
  });
}

Result<std::vector<ImportRefusal>> GoogleStores::refusals(const std::string& below,
                                                          std::int64_t operation,
                                                          std::size_t limit) {
  using Refusals = std::vector<ImportRefusal>;
  return catalogue_.read([&](sql::Database& database) -> Result<Refusals> {
    Refusals refusals;
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT l.operation, o.store, l.source, l.code, l.message"
                              " FROM google_import_log l JOIN google_operations o"
                              " ON o.id = l.operation WHERE substr(o.store, 1, length(?1)) = ?1"
                              " AND (?2 = 0 OR o.id = ?2) ORDER BY l.operation, l.ordinal LIMIT ?3",
                              {below, operation, limit}));
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) return refusals;
      refusals.push_back(
          {rows.integer(0), rows.text(1), rows.text(2), rows.integer(3), rows.text(4)});
    }
  });
}

Result<StoreMetrics> GoogleStores::metrics(const GoogleStore& store, const std::string& study,
                                           const std::string& series) {
  return catalogue_.read([&](sql::Database& database) -> Result<StoreMetrics> {
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT COUNT(DISTINCT s.study_instance_uid), COUNT(DISTINCT s.id),"
                              " COUNT(i.id), COALESCE(SUM(i.size_bytes), 0) FROM image_sets s"
                              " JOIN instances i ON i.image_set = s.id AND i.end_version IS NULL"
                              " WHERE s.data_store = ?1 AND s.is_primary = 1"
                              " AND s.state <> 'DELETED'"
                              " AND (?2 = '' OR s.study_instance_uid = ?2)"
                              " AND (?3 = '' OR s.series_instance_uid = ?3)",
                              {store.data_store, study, series}));
    TRY(rows.next());
    StoreMetrics metrics{rows.integer(0), rows.integer(1), rows.integer(2),
                         static_cast<std::uint64_t>(rows.integer(3))};
    if (metrics.instances == 0 && !study.empty()) return not_found("study or series");
    return metrics;
  });
}

}  // namespace isthmus::datastore
