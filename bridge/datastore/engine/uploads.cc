// Multipart uploads: the part of Objects that puts an object together.
#include <algorithm>
#include <map>

#include "base/ids.h"
#include "datastore/engine/objects.h"
#include "datastore/engine/stored_headers.h"
#include "wire/s3.h"

namespace isthmus::datastore {
namespace {

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

// The checksum of checksums, when every part has one of the same algorithm.
void set_composite_checksum(std::span<const PartRecord> parts, ObjectRecord& object) {
  const std::string& algorithm = parts.front().checksum_algorithm;
  std::string joined;
  for (const PartRecord& part : parts) {
    const std::optional<Bytes> raw = from_base64(part.checksum);
    if (algorithm.empty() || part.checksum_algorithm != algorithm || !raw) return;
    joined += as_text(*raw);
  }
  const auto crc_text = [](std::uint32_t crc) {
    const std::array<std::byte, 4> raw = {std::byte(crc >> 24), std::byte(crc >> 16),
                                          std::byte(crc >> 8), std::byte(crc)};
    return to_base64(raw);
  };
  object.checksum_algorithm = algorithm;
  if (algorithm == "sha256") object.checksum = sha256(joined).base64();
  if (algorithm == "crc32") object.checksum = crc_text(crc32(as_bytes(joined)));
  if (algorithm == "crc32c") object.checksum = crc_text(crc32c(as_bytes(joined)));
  object.checksum += "-" + std::to_string(parts.size());
}

}  // namespace

Result<UploadRecord> Objects::begin_upload(const ObjectName& name, StoredHeaders headers) {
  UploadRecord upload{make_id_text(env_), name, std::move(headers), env_.clock.wall_now()};
  const Result<void> written = catalogue_.write([&](sql::Database& database) -> Result<void> {
    TRY_ASSIGN(const auto bucket,
               database.query_integer("SELECT 1 FROM buckets WHERE name = ?", {name.bucket}));
    if (!bucket) {
      return permanent_error("datastore.no_such_bucket", "The bucket does not exist.");
    }
    TRY(
        database.run("INSERT INTO uploads (id, bucket, key, headers, initiated_at)"
                     " VALUES (?, ?, ?, ?, ?)",
                     {upload.id, name.bucket, name.key, print_stored_headers(upload.headers),
                      upload.initiated_at}));
    return {};
  });
  TRY(written);
  return upload;
}

Result<UploadRecord> Objects::upload(const ObjectName& name, const std::string& upload_id) {
  return catalogue_.read([&](sql::Database& database) -> Result<UploadRecord> {
    TRY_ASSIGN(sql::Statement rows, database.query("SELECT headers, initiated_at FROM uploads"
                                                   " WHERE id = ? AND bucket = ? AND key = ?",
                                                   {upload_id, name.bucket, name.key}));
    TRY_ASSIGN(const bool there, rows.next());
    if (!there) return no_such_upload();
    return UploadRecord{upload_id, name, parse_stored_headers(rows.text(0)), rows.time(1)};
  });
}

Result<void> Objects::put_part(const UploadRecord& upload, PartRecord part, const BlobPin& pin) {
  std::optional<std::string> replaced;
  const Result<void> written = catalogue_.write([&](sql::Database& database) -> Result<void> {
    TRY_ASSIGN(const auto there,
               database.query_integer("SELECT 1 FROM uploads WHERE id = ?", {upload.id}));
    if (!there) return no_such_upload();
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
  for (std::size_t i = 0; i + 1 < chosen.size(); ++i) {
    if (chosen[i].size_bytes < wire::s3::kMinPartBytes) {
      return permanent_error("datastore.part_too_small",
                             "A part but for the last is smaller than the minimum allowed size.");
    }
  }
  if (chosen.empty()) return permanent_error("datastore.invalid_part", "There are no parts.");
  return chosen;
}

// One blob of all: workers and readers then see one file, for a copy's price once.
Result<BlobPin> Objects::join(std::span<const PartRecord> parts) {
  TRY_ASSIGN(const std::unique_ptr<BlobWriter> whole, blobs_.begin());
  Bytes buffer(256 * KiB);
  for (const PartRecord& part : parts) {
    TRY_ASSIGN(const std::unique_ptr<ByteSource> source,
               blobs_.read(part.blob, 0, part.size_bytes));
    while (true) {
      TRY_ASSIGN(const std::size_t count, source->read(buffer));
      if (count == 0) break;
      TRY(whole->append(ByteSpan(buffer).first(count)));
    }
  }
  return whole->finish();
}

Result<ObjectRecord> Objects::complete_upload(const UploadRecord& upload,
                                              std::span<const std::pair<int, std::string>> wanted,
                                              const PutCondition& condition) {
  TRY_ASSIGN(const std::vector<PartRecord> chosen, chosen_parts(upload, wanted));
  TRY_ASSIGN(const BlobPin pin, join(chosen));
  ObjectRecord object;
  std::vector<std::array<std::byte, 16>> md5s;
  for (const PartRecord& part : chosen) {
    const std::optional<Bytes> raw = from_hex(part.etag);
    std::array<std::byte, 16> md5_raw{};
    if (raw && raw->size() == md5_raw.size()) std::copy(raw->begin(), raw->end(), md5_raw.begin());
    md5s.push_back(md5_raw);
  }
  object.etag = wire::s3::multipart_etag(md5s);
  object.headers = upload.headers;
  set_composite_checksum(chosen, object);
  TRY_ASSIGN(ObjectRecord stored, put_completed(upload, std::move(object), pin, condition));
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
