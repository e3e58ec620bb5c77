#include "datastore/engine/data_stores.h"

namespace isthmus::datastore {
namespace {

#define DATA_STORE_COLUMNS                                                         \
  "id, name, status, kms_key_arn, lambda_authorizer_arn, lossless_storage_format," \
  " created_at, updated_at"

DataStoreRecord read_data_store(sql::Columns columns) {
  DataStoreRecord record;
  record.id = columns.text();
  record.name = columns.text();
  record.status = columns.text();
  record.kms_key_arn = columns.optional_text();
  record.lambda_authorizer_arn = columns.optional_text();
  record.lossless_storage_format = columns.text();
  record.created_at = columns.time();
  record.updated_at = columns.time();
  return record;
}

Error no_such_data_store() {
  return permanent_error("datastore.no_such_data_store", "The data store does not exist.");
}

Result<DataStoreRecord> find_in(sql::Database& database, const std::string& id) {
  TRY_ASSIGN(sql::Statement rows,
             database.query("SELECT " DATA_STORE_COLUMNS " FROM data_stores WHERE id = ?", {id}));
  TRY_ASSIGN(const bool there, rows.next());
  if (!there) return no_such_data_store();
  return read_data_store(rows.columns());
}

}  // namespace

Result<void> require_active(sql::Database& database, const std::string& data_store) {
  TRY_ASSIGN(const auto there,
             database.query_integer("SELECT 1 FROM data_stores WHERE id = ? AND status = 'ACTIVE'",
                                    {data_store}));
  if (!there) return no_such_data_store();
  return {};
}

DataStores::DataStores(Env& env, Catalogue& catalogue, std::int64_t most)
    : env_(env), catalogue_(catalogue), most_(most) {}

Result<DataStoreRecord> DataStores::create(DataStoreRecord wanted, const TagMap& tags,
                                           const ClientToken& token) {
  wanted.id = make_id_text(env_);
  wanted.created_at = wanted.updated_at = env_.clock.wall_now();
  wanted.status = "ACTIVE";
  if (wanted.name.empty()) wanted.name = wanted.id;
  return catalogue_.write([&](sql::Database& database) -> Result<DataStoreRecord> {
    TRY_ASSIGN(const std::optional<std::string> made, find_token(database, token));
    if (made) return find_in(database, *made);
    TRY_ASSIGN(const auto active,
               database.query_integer("SELECT COUNT(*) FROM data_stores WHERE status = 'ACTIVE'"));
    if (most_ > 0 && active.value_or(0) >= most_) {
      return permanent_error("datastore.too_many_data_stores",
                             "The quota of data stores is used up.");
    }
    TRY(database.run(
        "INSERT INTO data_stores (" DATA_STORE_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        {wanted.id, wanted.name, wanted.status, wanted.kms_key_arn, wanted.lambda_authorizer_arn,
         wanted.lossless_storage_format, wanted.created_at, wanted.updated_at}));
    TRY(add_tags(database, wanted.id, tags, 0));
    TRY(keep_token(database, token, wanted.id));
    return wanted;
  });
}

Result<DataStoreRecord> DataStores::find(const std::string& id) {
  return catalogue_.read([&](sql::Database& database) { return find_in(database, id); });
}

Result<std::optional<DataStoreRecord>> DataStores::find_by_name(const std::string& name) {
  using Found = std::optional<DataStoreRecord>;
  return catalogue_.read([&](sql::Database& database) -> Result<Found> {
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT " DATA_STORE_COLUMNS
                              " FROM data_stores WHERE name = ? AND status = 'ACTIVE'"
                              " ORDER BY created_at, id LIMIT 1",
                              {name}));
    TRY_ASSIGN(const bool there, rows.next());
    if (!there) return Found{};
    return Found(read_data_store(rows.columns()));
  });
}

Result<std::vector<DataStoreRecord>> DataStores::list(const std::optional<std::string>& status,
                                                      const std::string& after, std::size_t limit) {
  using Records = std::vector<DataStoreRecord>;
  return catalogue_.read([&](sql::Database& database) -> Result<Records> {
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT " DATA_STORE_COLUMNS
                              " FROM data_stores WHERE id > ?1 AND (?2 IS NULL OR status = ?2)"
                              " ORDER BY id LIMIT ?3",
                              {after, status, limit}));
    Records records;
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) return records;
      records.push_back(read_data_store(rows.columns()));
    }
  });
}

Result<DataStoreRecord> DataStores::remove(const std::string& id) {
  return catalogue_.write([&](sql::Database& database) -> Result<DataStoreRecord> {
    TRY_ASSIGN(DataStoreRecord record, find_in(database, id));
    if (record.status == "DELETED") return record;
    TRY_ASSIGN(
        const auto in_use,
        database.query_integer("SELECT EXISTS (SELECT 1 FROM image_sets WHERE data_store = ?1"
                               "                AND state <> 'DELETED')"
                               " OR EXISTS (SELECT 1 FROM import_jobs WHERE data_store = ?1"
                               "            AND status IN ('SUBMITTED', 'IN_PROGRESS'))",
                               {id}));
    if (in_use.value_or(1) != 0) {
      return permanent_error("datastore.data_store_in_use",
                             "The data store still has image sets or unfinished import jobs.");
    }
    record.status = "DELETED";
    record.updated_at = env_.clock.wall_now();
    TRY(database.run("UPDATE data_stores SET status = ?, updated_at = ? WHERE id = ?",
                     {record.status, record.updated_at, id}));
    return record;
  });
}

}  // namespace isthmus::datastore
