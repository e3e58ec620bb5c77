// Multipart uploads: the part of Objects that puts an object together.
#include <algorithm>
#include <map>

#include "base/ids.h"
#include "datastore/engine/objects.h"
#include "datastore/engine/stored_headers.h"
#include "wire/s3.h"

namespace isthmus::datastore {
namespace {

constexpr Milliseconds kSessionLife{7LL * 24 * 3600 * 1000};  // a session "lives one week"

Error no_such_upload() {
  return permanent_error("datastore.no_such_upload",
                         "The specified multipart upload does not exist: it may have been completed"
                         " or aborted.");
}

Result<std::vector<PartRecord>> read_parts(sql::Database& database, const std::string& upload_id) {
  std::vector<PartRecord> parts;
  TRY_ASSIGN(sql::Statement rows,
             database.query("SELECT number, blob, size_bytes, etag, checksum_algorithm, checksum,"
                            " modified_at FROM upload_parts WHERE upload = ? ORDER BY number",
                            {upload_id}));
  while (true) {
    TRY_ASSIGN(const bool more, rows.next());
    if (!more) return parts;
    sql::Columns columns = rows.columns();
    PartRecord part;
    part.number = static_cast<int>(columns.integer());
    const std::optional<Digest> blob = Digest::from_hex(columns.text());
    if (!blob) return fatal_error("datastore.io", "A row of the catalogue is damaged.");
    part.blob = *blob;
    part.size_bytes = columns.unsigned_integer();
    part.etag = columns.text();
    part.checksum_algorithm = columns.text();
    part.checksum = columns.text();
    part.modified_at = columns.time();
    parts.push_back(std::move(part));
  }
}

// Takes the upload away; its parts' blobs are then garbage.
Result<std::vector<std::string>> drop_upload(sql::Database& database,
                                             const std::string& upload_id) {
  TRY_ASSIGN(const std::vector<PartRecord> parts, read_parts(database, upload_id));
  std::vector<std::string> blobs;
  for (const PartRecord& part : parts) blobs.push_back(part.blob.hex());
  TRY(database.run("DELETE FROM upload_parts WHERE upload = ?", {upload_id}));
  TRY_ASSIGN(const std::int64_t dropped,
             database.run("DELETE FROM uploads WHERE id = ?", {upload_id}));
  if (dropped == 0) return no_such_upload();
  return blobs;
}

Result<std::vector<std::string>> abandoned(sql::Database& database, WallTime sessions_before,
                                           WallTime uploads_before, bool uploads) {
  std::vector<std::string> ids;
  TRY_ASSIGN(sql::Statement rows,
             database.query("SELECT u.id FROM uploads u"
                            " WHERE (u.resumable <> '' AND u.initiated_at <= ?1)"
                            " OR (u.resumable = '' AND ?3 AND u.initiated_at <= ?2 AND NOT EXISTS"
                            "  (SELECT 1 FROM upload_parts p WHERE p.upload = u.id"
                            "   AND p.modified_at > ?2))",
                            {sessions_before, uploads_before, uploads}));
  while (true) {
    TRY_ASSIGN(const bool more, rows.next());
    if (!more) return ids;
    ids.push_back(rows.text(0));
  }
}

// The checksum of checksums, when every part has one of the same algorithm.
void set_composite_checksum(std::span<const PartRecord> parts, ObjectRecord& object) {
  const std::string& algorithm = parts.front().checksum_algorithm;
  const ChecksumKind* const kind = checksum_kind(algorithm);
  if (kind == nullptr || !kind->of_parts) return;
  RunningChecksum sum(algorithm);
  for (const PartRecord& part : parts) {
    const std::optional<Bytes> raw = from_base64(part.checksum);
    if (part.checksum_algorithm != algorithm || !raw) return;
    sum.update(*raw);
  }
  object.checksum_algorithm = algorithm;
  object.checksum = sum.finish() + "-" + std::to_string(parts.size());
}

// What the caller says of the whole, against what it is.
Result<void> check_completion(const UploadRecord& upload, const Completion& completion,
                              const ObjectRecord& object, std::uint64_t size_bytes) {
  if (completion.size_bytes && *completion.size_bytes != size_bytes) {
    return permanent_error("datastore.wrong_size",
                           "The object's size is not the one that was announced.");
  }
  if (!completion.checksum_type.empty() && !upload.checksum_type.empty() &&
      completion.checksum_type != upload.checksum_type) {
    return permanent_error("datastore.wrong_checksum_type",
                           "The upload was begun with another checksum type.");
  }
  if (!completion.md5.empty() && completion.md5 != object.etag) {
    return permanent_error("datastore.checksum_mismatch",
                           "The MD5 you specified did not match what was received.");
  }
  if (completion.checksum.empty()) return {};
  // Of a composite the caller may leave the number of parts out.
  const std::string bare = object.checksum.substr(0, object.checksum.find('-'));
  if (completion.checksum_algorithm != object.checksum_algorithm ||
      (completion.checksum != object.checksum && completion.checksum != bare)) {
    return permanent_error("datastore.checksum_mismatch",
                           "The checksum you specified did not match what was received.");
  }
  return {};
}

}  // namespace

Result<UploadRecord> Objects::begin_upload(UploadRecord upload) {
  upload.id = make_id_text(env_);
  upload.initiated_at = env_.clock.wall_now();
  const ObjectName& name = upload.name;
  const Result<void> written = catalogue_.write([&](sql::Database& database) -> Result<void> {
    TRY_ASSIGN(const auto bucket,
               database.query_integer("SELECT 1 FROM buckets WHERE name = ?", {name.bucket}));
    if (!bucket) {
      return permanent_error("datastore.no_such_bucket", "The bucket does not exist.");
    }
    TRY(database.run(
        "INSERT INTO uploads (id, bucket, key, headers, initiated_at,"
        " checksum_algorithm, checksum_type, resumable)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        {upload.id, name.bucket, name.key, print_stored_headers(upload.headers),
         upload.initiated_at, upload.checksum_algorithm, upload.checksum_type, upload.resumable}));
    return {};
  });
  TRY(written);
  return upload;
}

Result<UploadRecord> Objects::upload(const ObjectName& name, const std::string& upload_id) {
  return find_upload(name, upload_id, false);
}

Result<UploadRecord> Objects::resumable_upload(const ObjectName& name,
                                               const std::string& upload_id) {
  return find_upload(name, upload_id, true);
}

Result<std::optional<std::int64_t>> Objects::finished_upload(const ObjectName& name,
                                                             const std::string& upload_id) {
  return catalogue_.read([&](sql::Database& database) {
    return database.query_integer(
        "SELECT generation FROM finished_uploads WHERE id = ? AND bucket = ? AND key = ?",
        {upload_id, name.bucket, name.key});
  });
}

Result<std::size_t> Objects::end_abandoned_uploads(Milliseconds untouched) {
  const WallTime now = env_.clock.wall_now();
  std::vector<std::string> garbage;
  TRY_ASSIGN(const std::size_t ended,
             catalogue_.write([&](sql::Database& database) -> Result<std::size_t> {
               TRY_ASSIGN(const std::vector<std::string> ids,
                          abandoned(database, now - kSessionLife, now - untouched,
                                    untouched > Milliseconds(0)));
               for (const std::string& id : ids) {
                 TRY_ASSIGN(const std::vector<std::string> blobs, drop_upload(database, id));
                 garbage.insert(garbage.end(), blobs.begin(), blobs.end());
               }
               return ids.size();
             }));
  collect(garbage);
  return ended;
}

Result<UploadRecord> Objects::find_upload(const ObjectName& name, const std::string& upload_id,
                                          bool resumable) {
  return catalogue_.read([&](sql::Database& database) -> Result<UploadRecord> {
    TRY_ASSIGN(sql::Statement rows,
               database.query("SELECT headers, initiated_at, checksum_algorithm, checksum_type,"
                              " resumable FROM uploads WHERE id = ? AND bucket = ? AND key = ?"
                              " AND (resumable <> '') = ? AND (resumable = '' OR initiated_at > ?)",
                              {upload_id, name.bucket, name.key, resumable,
                               env_.clock.wall_now() - kSessionLife}));
    TRY_ASSIGN(const bool there, rows.next());
    if (!there) return no_such_upload();
    sql::Columns columns = rows.columns();
    UploadRecord upload;
    upload.id = upload_id;
    upload.name = name;
    upload.headers = parse_stored_headers(columns.text());
    upload.initiated_at = columns.time();
    upload.checksum_algorithm = columns.text();
    upload.checksum_type = columns.text();
    upload.resumable = columns.text();
    return upload;
  });
}

Result<void> Objects::put_part(const UploadRecord& upload, PartRecord part, const BlobPin& pin) {
  std::optional<std::string> replaced;
  const Result<void> written = catalogue_.write([&](sql::Database& database) -> Result<void> {
    TRY_ASSIGN(const auto there,
               database.query_integer("SELECT 1 FROM uploads WHERE id = ?", {upload.id}));
    if (!there) return no_such_upload();
    TRY(database.run("UPDATE uploads SET resumable = ?2 WHERE id = ?1 AND resumable <> ?2",
                     {upload.id, upload.resumable}));
    TRY_ASSIGN(replaced,
               database.query_text("SELECT blob FROM upload_parts WHERE upload = ? AND number = ?",
                                   {upload.id, part.number}));
    TRY(
        database.run("INSERT OR REPLACE INTO upload_parts (upload, number, blob, size_bytes, etag,"
                     " checksum_algorithm, checksum, modified_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                     {upload.id, part.number, pin.digest(), pin.size_bytes(), part.etag,
                      part.checksum_algorithm, part.checksum, env_.clock.wall_now()}));
    return {};
  });
  TRY(written);
  if (replaced) collect(std::span(&*replaced, 1));
  return {};
}

Result<std::vector<PartRecord>> Objects::parts(const UploadRecord& upload) {
  return catalogue_.read([&](sql::Database& database) { return read_parts(database, upload.id); });
}

Result<std::vector<PartRecord>> Objects::chosen_parts(
    const UploadRecord& upload, std::span<const std::pair<int, std::string>> wanted) {
  TRY_ASSIGN(const std::vector<PartRecord> there, parts(upload));
  std::map<int, const PartRecord*> by_number;
  for (const PartRecord& part : there) by_number.emplace(part.number, &part);
  std::vector<PartRecord> chosen;
  for (const auto& [number, etag] : wanted) {
    if (!chosen.empty() && number <= chosen.back().number) {
      return permanent_error("datastore.invalid_part_order",
                             "The list of parts was not in ascending order.");
    }
    const auto found = by_number.find(number);
    if (found == by_number.end() || found->second->etag != etag) {
      return permanent_error("datastore.invalid_part",
                             "One or more of the specified parts could not be found, or its entity"
                             " tag did not match.");
    }
    chosen.push_back(*found->second);
  }
  for (std::size_t i = 0; upload.resumable.empty() && i + 1 < chosen.size(); ++i) {
    if (chosen[i].size_bytes < wire::s3::kMinPartBytes) {
      return permanent_error("datastore.part_too_small",
                             "A part but for the last is smaller than the minimum allowed size.");
    }
  }
  if (chosen.empty()) return permanent_error("datastore.invalid_part", "There are no parts.");
  return chosen;
}

// One blob of all: workers and readers then see one file, for a copy's price once.
Result<BlobPin> Objects::join(std::span<const PartRecord> parts, Sums& sums) {
  TRY_ASSIGN(const std::unique_ptr<BlobWriter> whole, blobs_.begin());
  Bytes buffer(256 * KiB);
  for (const PartRecord& part : parts) {
    TRY_ASSIGN(const std::unique_ptr<ByteSource> source,
               blobs_.read(part.blob, 0, part.size_bytes));
    while (true) {
      TRY_ASSIGN(const std::size_t count, source->read(buffer));
      if (count == 0) break;
      TRY(whole->append(ByteSpan(buffer).first(count)));
      sums.checksum.update(ByteSpan(buffer).first(count));
      if (sums.md5) sums.md5->update(ByteSpan(buffer).first(count));
    }
  }
  return whole->finish();
}

Result<ObjectRecord> Objects::complete_upload(const UploadRecord& upload,
                                              const Completion& completion) {
  TRY_ASSIGN(const std::vector<PartRecord> chosen, chosen_parts(upload, completion.parts));
  const bool of_whole = upload.checksum_type == "FULL_OBJECT";
  Sums sums{RunningChecksum(of_whole ? upload.checksum_algorithm : ""), {}};
  if (!upload.resumable.empty()) sums.md5.emplace();
  TRY_ASSIGN(const BlobPin pin, join(chosen, sums));
  ObjectRecord object;
  std::vector<std::array<std::byte, 16>> md5s;
  for (const PartRecord& part : chosen) {
    const std::optional<Bytes> raw = from_hex(part.etag);
    std::array<std::byte, 16> md5_raw{};
    if (raw && raw->size() == md5_raw.size()) std::copy(raw->begin(), raw->end(), md5_raw.begin());
    md5s.push_back(md5_raw);
  }
  object.etag = sums.md5 ? to_hex(sums.md5->finish()) : wire::s3::multipart_etag(md5s);
  object.headers = upload.headers;
  if (of_whole) {
    object.checksum_algorithm = upload.checksum_algorithm;
    object.checksum = sums.checksum.finish();
  } else {
    set_composite_checksum(chosen, object);
  }
  if (object.checksum_algorithm == "crc32c" && of_whole) object.crc32c = object.checksum;
  TRY(check_completion(upload, completion, object, pin.size_bytes()));
  TRY_ASSIGN(ObjectRecord stored,
             put_completed(upload, std::move(object), pin, completion.condition));
  return stored;
}

Result<ObjectRecord> Objects::put_completed(const UploadRecord& upload, ObjectRecord object,
                                            const BlobPin& pin, const PutCondition& condition) {
  object.key = upload.name.key;
  object.blob = pin.digest();
  object.size_bytes = pin.size_bytes();
  object.modified_at = env_.clock.wall_now();
  std::vector<std::string> garbage;
  const Result<void> written = catalogue_.write([&](sql::Database& database) -> Result<void> {
    TRY_ASSIGN(garbage, drop_upload(database, upload.id));
    TRY_ASSIGN(const std::optional<std::string> replaced,
               insert_object(database, upload.name, object, condition));
    if (replaced) garbage.push_back(*replaced);
    if (upload.resumable.empty()) return {};
    TRY(database.run(
        "INSERT INTO finished_uploads (id, bucket, key, generation, finished_at)"
        " VALUES (?, ?, ?, ?, ?)",
        {upload.id, upload.name.bucket, upload.name.key, object.generation, object.modified_at}));
    TRY(database.run("DELETE FROM finished_uploads WHERE finished_at < ?",
                     {object.modified_at - kSessionLife}));
    return {};
  });
  TRY(written);
  collect(garbage);
  return object;
}

Result<void> Objects::abort_upload(const UploadRecord& upload) {
  TRY_ASSIGN(const std::vector<std::string> garbage, catalogue_.write([&](sql::Database& database) {
    return drop_upload(database, upload.id);
  }));
  collect(garbage);
  return {};
}

}  // namespace isthmus::datastore
