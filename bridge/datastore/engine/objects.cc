#include "datastore/engine/objects.h"

#include <algorithm>

#include "base/failpoint.h"
#include "base/ids.h"
#include "datastore/engine/stored_headers.h"

namespace isthmus::datastore {
namespace {

Error no_such_bucket() {
  return permanent_error("datastore.no_such_bucket", "The bucket does not exist.");
}

Result<void> require_bucket(sql::Database& database, const std::string& bucket) {
  TRY_ASSIGN(const auto there,
             database.query_integer("SELECT 1 FROM buckets WHERE name = ?", {bucket}));
  if (!there) return no_such_bucket();
  return {};
}

Result<ObjectRecord> read_object(sql::Columns columns, bool with_headers) {
  ObjectRecord object;
  object.key = columns.text();
  const std::optional<Digest> blob = Digest::from_hex(columns.text());
  if (!blob) return fatal_error("datastore.io", "A row of the catalogue is damaged.");
  object.blob = *blob;
  object.size_bytes = columns.unsigned_integer();
  object.etag = columns.text();
  object.checksum_algorithm = columns.text();
  object.checksum = columns.text();
  object.modified_at = columns.time();
  object.generation = columns.integer();
  object.metageneration = columns.integer();
  object.created_at = columns.time();
  object.crc32c = columns.text();
  if (with_headers) object.headers = parse_stored_headers(columns.text());
  return object;
}

constexpr const char* kBlobIsNamed =
    "SELECT EXISTS (SELECT 1 FROM objects WHERE blob = ?1)"
    " OR EXISTS (SELECT 1 FROM upload_parts WHERE blob = ?1)"
    " OR EXISTS (SELECT 1 FROM import_files WHERE blob = ?1)"
    " OR EXISTS (SELECT 1 FROM instances WHERE blob = ?1)";

// What read_object() reads, but for the headers behind it.
constexpr const char* kObjectColumns =
    "key, blob, size_bytes, etag, checksum_algorithm, checksum, modified_at, generation,"
    " metageneration, created_at, crc32c";

// The object of that name, without headers.
Result<std::optional<ObjectRecord>> object_there(sql::Database& database, const ObjectName& name) {
  TRY_ASSIGN(sql::Statement rows, database.query(std::string("SELECT ") + kObjectColumns +
                                                     " FROM objects WHERE bucket = ? AND key = ?",
                                                 {name.bucket, name.key}));
  TRY_ASSIGN(const bool there, rows.next());
  if (!there) return std::optional<ObjectRecord>{};
  TRY_ASSIGN(ObjectRecord object, read_object(rows.columns(), false));
  return std::optional<ObjectRecord>(std::move(object));
}

// The least text that is greater than every text beginning with `prefix`; empty: there is none.
std::string behind(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (!prefix.empty())
    prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
  return prefix;
}

// The common prefix that hides this key, if one does.
std::optional<std::string> common_prefix(const std::string& key, const ListQuery& query) {
  if (query.delimiter.empty()) return std::nullopt;
  const std::size_t at = key.find(query.delimiter, query.prefix.size());
  if (at == std::string::npos) return std::nullopt;
  return key.substr(0, at + query.delimiter.size());
}

// Walks the keys in order; a common prefix is jumped over, however many keys it has.
Result<ListPage> list_page(sql::Database& database, const std::string& bucket,
                           const ListQuery& query) {
  ListPage page;
  TRY(require_bucket(database, bucket));
  const std::string end = behind(query.prefix);
  std::string from = std::max({query.prefix, query.after, query.from});
  if (const auto hidden = common_prefix(query.after, query);
      hidden && query.after.starts_with(query.prefix) && *hidden == query.after) {
    from = behind(*hidden);
    if (from.empty()) return page;
  }
  TRY_ASSIGN(sql::Statement rows,
             database.query(std::string("SELECT ") + kObjectColumns +
                                " FROM objects WHERE bucket = ? AND key >= ? ORDER BY key",
                            {bucket, from}));
  while (true) {
    TRY_ASSIGN(const bool more, rows.next());
    if (!more) return page;
    const std::string key = rows.text(0);
    if (!query.prefix.empty() && !key.starts_with(query.prefix)) return page;
    if (!query.after.empty() && key <= query.after) continue;
    if (page.objects.size() + page.common_prefixes.size() >= query.limit) {
      page.truncated = query.limit > 0;
      return page;
    }
    if (const auto hidden = common_prefix(key, query)) {
      page.common_prefixes.push_back(*hidden);
      page.last = *hidden;
      const std::string next = behind(*hidden);
      if (next.empty()) return page;
      TRY(rows.rebind({bucket, next}));
      continue;
    }
    TRY_ASSIGN(ObjectRecord object, read_object(rows.columns(), false));
    page.last = object.key;
    page.objects.push_back(std::move(object));
  }
}

}  // namespace

Objects::Objects(Env& env, Blobs& blobs, Catalogue& catalogue)
    : env_(env), blobs_(blobs), catalogue_(catalogue) {}

Result<void> Objects::create_bucket(const std::string& bucket) {
  return catalogue_.write([&](sql::Database& database) -> Result<void> {
    TRY_ASSIGN(const std::int64_t made,
               database.run("INSERT OR IGNORE INTO buckets (name, created_at) VALUES (?, ?)",
                            {bucket, env_.clock.wall_now()}));
    if (made == 0) {
      return permanent_error("datastore.bucket_exists", "The bucket exists already.");
    }
    return {};
  });
}

Result<void> Objects::delete_bucket(const std::string& bucket) {
  std::vector<std::string> garbage;
  const Result<void> written = catalogue_.write([&](sql::Database& database) -> Result<void> {
    TRY(require_bucket(database, bucket));
    TRY_ASSIGN(const auto object,
               database.query_integer("SELECT 1 FROM objects WHERE bucket = ? LIMIT 1", {bucket}));
    if (object) {
      return permanent_error("datastore.bucket_not_empty",
                             "The bucket you tried to delete is not empty.");
    }
    TRY_ASSIGN(sql::Statement rows, database.query("SELECT blob FROM upload_parts WHERE upload IN"
                                                   " (SELECT id FROM uploads WHERE bucket = ?)",
                                                   {bucket}));
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) break;
      garbage.push_back(rows.text(0));
    }
    TRY(
        database.run("DELETE FROM upload_parts WHERE upload IN"
                     " (SELECT id FROM uploads WHERE bucket = ?)",
                     {bucket}));
    TRY(database.run("DELETE FROM uploads WHERE bucket = ?", {bucket}));
    TRY(database.run("DELETE FROM buckets WHERE name = ?", {bucket}));
    return {};
  });
  TRY(written);
  collect(garbage);
  return {};
}

Result<BucketRecord> Objects::bucket(const std::string& bucket) {
  return catalogue_.read([&](sql::Database& database) -> Result<BucketRecord> {
    TRY_ASSIGN(const auto created,
               database.query_time("SELECT created_at FROM buckets WHERE name = ?", {bucket}));
    if (!created) return no_such_bucket();
    return BucketRecord{bucket, *created};
  });
}

Result<std::vector<BucketRecord>> Objects::buckets() {
  return catalogue_.read([&](sql::Database& database) -> Result<std::vector<BucketRecord>> {
    std::vector<BucketRecord> buckets;
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT name, created_at FROM buckets ORDER BY name"));
    while (true) {
      TRY_ASSIGN(const bool more, rows.next());
      if (!more) return buckets;
      buckets.push_back({rows.text(0), rows.time(1)});
    }
  });
}

Result<void> check_condition(const PutCondition& condition, const ObjectRecord* there) {
  if (condition.etag && there == nullptr) {
    return permanent_error("datastore.no_such_key", "There is no object to replace.");
  }
  const std::int64_t generation = there == nullptr ? 0 : there->generation;
  const std::int64_t metageneration = there == nullptr ? 0 : there->metageneration;
  const bool holds =
      !(condition.must_be_absent && there != nullptr) &&
      !(condition.etag && *condition.etag != there->etag) &&
      condition.generation_match.value_or(generation) == generation &&
      !(condition.generation_not_match && *condition.generation_not_match == generation) &&
      condition.metageneration_match.value_or(metageneration) == metageneration &&
      !(condition.metageneration_not_match &&
        *condition.metageneration_not_match == metageneration);
  if (holds) return {};
  return permanent_error("datastore.condition_failed",
                         "At least one of the pre-conditions you specified did not hold.");
}

Result<std::optional<std::string>> Objects::insert_object(sql::Database& database,
                                                          const ObjectName& name,
                                                          ObjectRecord& object,
                                                          const PutCondition& condition) {
  TRY(require_bucket(database, name.bucket));
  TRY_ASSIGN(const std::optional<ObjectRecord> there, object_there(database, name));
  TRY(check_condition(condition, there ? &*there : nullptr));
  object.created_at = object.modified_at;
  object.metageneration = 1;
  const std::int64_t microseconds =
      std::chrono::duration_cast<std::chrono::microseconds>(object.modified_at.time_since_epoch())
          .count();
  object.generation = std::max(microseconds, there ? there->generation + 1 : 0);
  TRY(
      database.run("INSERT OR REPLACE INTO objects (bucket, key, blob, size_bytes, etag, headers,"
                   " checksum_algorithm, checksum, modified_at, generation, metageneration,"
                   " created_at, crc32c) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                   {name.bucket, name.key, object.blob, object.size_bytes, object.etag,
                    print_stored_headers(object.headers), object.checksum_algorithm,
                    object.checksum, object.modified_at, object.generation, object.metageneration,
                    object.created_at, object.crc32c}));
  if (!there) return std::optional<std::string>{};
  return std::optional<std::string>(there->blob.hex());
}

Result<ObjectRecord> Objects::put(const ObjectName& name, ObjectRecord record, const BlobPin& pin,
                                  const PutCondition& condition) {
  record.key = name.key;
  record.blob = pin.digest();
  record.size_bytes = pin.size_bytes();
  record.modified_at = env_.clock.wall_now();
  TRY_ASSIGN(const std::optional<std::string> replaced,
             catalogue_.write([&](sql::Database& database) {
               return insert_object(database, name, record, condition);
             }));
  FAILPOINT(datastore_object_put);
  if (replaced) collect(std::span(&*replaced, 1));
  return record;
}

Result<ObjectRecord> Objects::copy(const ObjectRecord& from, const ObjectName& to,
                                   ObjectRecord record, const PutCondition& condition) {
  record.key = to.key;
  record.blob = from.blob;
  record.size_bytes = from.size_bytes;
  record.modified_at = env_.clock.wall_now();
  std::optional<std::string> replaced;
  const Result<void> written = catalogue_.write([&](sql::Database& database) -> Result<void> {
    // A row names the blob now, and the copy's row will be there before anybody can see that none
    // does: it cannot be removed in between.
    TRY_ASSIGN(const auto named, database.query_integer(kBlobIsNamed, {from.blob}));
    if (named.value_or(0) == 0) {
      return permanent_error("datastore.no_such_key", "The specified key does not exist.");
    }
    TRY_ASSIGN(replaced, insert_object(database, to, record, condition));
    return {};
  });
  TRY(written);
  FAILPOINT(datastore_object_put);
  if (replaced) collect(std::span(&*replaced, 1));
  return record;
}

Result<ObjectRecord> Objects::put_text(const ObjectName& name, std::string_view content_type,
                                       std::string_view text) {
  TRY_ASSIGN(const std::unique_ptr<BlobWriter> blob, blobs_.begin());
  TRY(blob->append(as_bytes(text)));
  TRY_ASSIGN(const BlobPin pin, blob->finish());
  ObjectRecord record;
  record.etag = to_hex(md5(as_bytes(text)));
  record.headers = {{"Content-Type", std::string(content_type)}};
  return put(name, std::move(record), pin);
}

Result<ObjectRecord> Objects::find(const ObjectName& name) {
  return catalogue_.read([&](sql::Database& database) -> Result<ObjectRecord> {
    TRY(require_bucket(database, name.bucket));
    TRY_ASSIGN(sql::Statement rows,
               database.query(std::string("SELECT ") + kObjectColumns +
                                  ", headers FROM objects WHERE bucket = ? AND key = ?",
                              {name.bucket, name.key}));
    TRY_ASSIGN(const bool there, rows.next());
    if (!there) {
      return permanent_error("datastore.no_such_key", "The specified key does not exist.");
    }
    return read_object(rows.columns(), true);
  });
}

Result<std::unique_ptr<ByteSource>> Objects::read(const ObjectRecord& object, std::uint64_t offset,
                                                  std::uint64_t length) {
  return blobs_.read(object.blob, offset, length);
}

Result<void> Objects::remove(const ObjectName& name, const PutCondition& condition) {
  std::optional<std::string> garbage;
  const Result<void> written = catalogue_.write([&](sql::Database& database) -> Result<void> {
    TRY(require_bucket(database, name.bucket));
    TRY_ASSIGN(const std::optional<ObjectRecord> there, object_there(database, name));
    TRY(check_condition(condition, there ? &*there : nullptr));
    if (!there) return {};
    garbage = there->blob.hex();
    TRY(database.run("DELETE FROM objects WHERE bucket = ? AND key = ?", {name.bucket, name.key}));
    return {};
  });
  TRY(written);
  if (garbage) collect(std::span(&*garbage, 1));
  return {};
}

Result<void> Objects::remove(const std::string& bucket, std::span<const std::string> keys) {
  std::vector<std::string> garbage;
  const Result<void> written = catalogue_.write([&](sql::Database& database) -> Result<void> {
    TRY(require_bucket(database, bucket));
    for (const std::string& key : keys) {
      TRY_ASSIGN(const auto blob,
                 database.query_text("SELECT blob FROM objects WHERE bucket = ? AND key = ?",
                                     {bucket, key}));
      if (!blob) continue;
      garbage.push_back(*blob);
      TRY(database.run("DELETE FROM objects WHERE bucket = ? AND key = ?", {bucket, key}));
    }
    return {};
  });
  TRY(written);
  collect(garbage);
  return {};
}

Result<ListPage> Objects::list(const std::string& bucket, const ListQuery& query) {
  return catalogue_.read(
      [&](sql::Database& database) { return list_page(database, bucket, query); });
}

Result<ObjectRecord> Objects::describe(const ObjectName& name, const StoredHeaders& headers,
                                       const PutCondition& condition) {
  return catalogue_.write([&](sql::Database& database) -> Result<ObjectRecord> {
    TRY(require_bucket(database, name.bucket));
    TRY_ASSIGN(std::optional<ObjectRecord> there, object_there(database, name));
    if (!there) {
      return permanent_error("datastore.no_such_key", "The specified key does not exist.");
    }
    TRY(check_condition(condition, &*there));
    there->headers = headers;
    there->modified_at = env_.clock.wall_now();
    ++there->metageneration;
    TRY(
        database.run("UPDATE objects SET headers = ?, modified_at = ?, metageneration = ?"
                     " WHERE bucket = ? AND key = ?",
                     {print_stored_headers(headers), there->modified_at, there->metageneration,
                      name.bucket, name.key}));
    return std::move(*there);
  });
}

Result<std::string> Objects::crc32c_of(const ObjectName& name, const ObjectRecord& object) {
  if (!object.crc32c.empty()) return object.crc32c;
  RunningChecksum sum("crc32c");
  TRY_ASSIGN(const std::unique_ptr<ByteSource> bytes, read(object, 0, object.size_bytes));
  Bytes buffer(256 * KiB);
  while (true) {
    TRY_ASSIGN(const std::size_t count, bytes->read(buffer));
    if (count == 0) break;
    sum.update(ByteSpan(buffer).first(count));
  }
  const std::string crc32c = sum.finish();
  const Result<void> written = catalogue_.write([&](sql::Database& database) -> Result<void> {
    TRY(database.run("UPDATE objects SET crc32c = ? WHERE bucket = ? AND key = ? AND blob = ?",
                     {crc32c, name.bucket, name.key, object.blob}));
    return {};
  });
  TRY(written);
  return crc32c;
}

Result<bool> Objects::referenced(const Digest& digest) {
  return catalogue_.read([&](sql::Database& database) -> Result<bool> {
    TRY_ASSIGN(const auto named, database.query_integer(kBlobIsNamed, {digest}));
    return named.value_or(1) != 0;
  });
}

Result<std::size_t> Objects::collect_garbage() {
  return blobs_.sweep([this](const Digest& digest) { return referenced(digest); });
}

void Objects::collect_deleted(std::span<const std::string> blob_hexes) {
  FAILPOINT(datastore_deletion_committed);
  for (std::size_t i = 0; i < blob_hexes.size(); ++i) {
    collect(blob_hexes.subspan(i, 1));
    FAILPOINT(datastore_deletion_freeing);
  }
}

void Objects::collect(std::span<const std::string> blob_hexes) {
  for (const std::string& hex : blob_hexes) {
    const std::optional<Digest> digest = Digest::from_hex(hex);
    if (!digest) continue;
    ignore(blobs_.collect(*digest, [this](const Digest& blob) { return referenced(blob); }),
           "garbage is swept at the next start");
  }
}

}  // namespace isthmus::datastore
