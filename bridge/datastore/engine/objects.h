// Buckets, objects and multipart uploads: what the bucket APIs are a face of. A put is durable
// (bytes, then row) when it returns; a reader sees the whole object or none.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/env.h"
#include "datastore/engine/blobs.h"
#include "datastore/engine/catalogue.h"
#include "datastore/engine/object_checksums.h"

namespace isthmus::datastore {

// Every blob that a row names, as one column `blob`; some more than once.
inline constexpr const char* kNamedBlobs =
    "SELECT blob FROM objects UNION SELECT blob FROM upload_parts UNION SELECT blob FROM"
    " import_files WHERE blob IS NOT NULL UNION SELECT blob FROM instances";

// Header fields that are kept with an object and given back: Content-Type, x-amz-meta-…
using StoredHeaders = std::vector<std::pair<std::string, std::string>>;

struct ObjectName {
  std::string bucket;
  std::string key;  // 1 to 1024 bytes
};

struct ObjectRecord {
  std::string key;
  Digest blob;
  std::uint64_t size_bytes = 0;
  std::string etag;  // without quotes
  StoredHeaders headers;
  std::string checksum_algorithm;  // see object_checksums.h; empty: none
  std::string checksum;            // base64; "<base64>-<parts>" for one of the parts' checksums
  WallTime modified_at;
  // Cloud Storage's: grows with every put of the name; with every change of what is said about it;
  // when the name got its generation; base64, empty while nobody asked.
  std::int64_t generation = 0;
  std::int64_t metageneration = 1;
  WallTime created_at;
  std::string crc32c;
};

struct BucketRecord {
  std::string name;
  WallTime created_at;
};

// What must be true of the key when the object there is replaced, changed or removed: If-Match and
// If-None-Match of S3, ifGenerationMatch and the like of Cloud Storage (whose 0 is "no object").
struct PutCondition {
  bool must_be_absent = false;
  std::optional<std::string> etag = {};  // the object there has this one
  std::optional<std::int64_t> generation_match = {}, generation_not_match = {};
  std::optional<std::int64_t> metageneration_match = {}, metageneration_not_match = {};
};
// "datastore.no_such_key" when an etag is to match and there is no object, and
// "datastore.condition_failed" (permanent). `there` is null when there is no object.
Result<void> check_condition(const PutCondition& condition, const ObjectRecord* there);

struct ListQuery {
  std::string prefix;
  std::string delimiter;
  std::string after;         // names up to and including this one are left out
  std::string from = {};     // names before this one are left out
  std::size_t limit = 1000;  // objects and common prefixes together
};
struct ListPage {
  std::vector<ObjectRecord> objects;  // without headers
  std::vector<std::string> common_prefixes;
  bool truncated = false;
  std::string last;  // `after` of the next page
};

struct PartRecord {
  int number = 0;
  Digest blob;
  std::uint64_t size_bytes = 0;
  std::string etag;
  std::string checksum_algorithm;
  std::string checksum;
  WallTime modified_at;
};
struct UploadRecord {
  std::string id;
  ObjectName name;
  StoredHeaders headers;
  WallTime initiated_at;
  std::string checksum_algorithm = {};  // of the object to be; empty: not said
  std::string checksum_type = {};       // "COMPOSITE", "FULL_OBJECT"; empty: not said
  std::string resumable = {};  // JSON of Cloud Storage's resumable form; empty: S3 began it
};
// What an upload ends with.
struct Completion {
  std::vector<std::pair<int, std::string>> parts;  // number and etag, in order
  PutCondition condition = {};
  // What the caller says of the whole; each empty when not said. "datastore.checksum_mismatch".
  std::string checksum_type = {}, checksum_algorithm = {}, checksum = {};
  std::string md5 = {};  // hex; of resumable uploads
  std::optional<std::uint64_t> size_bytes = {};
};

// Errors, besides those of Blobs and Catalogue, all permanent: "datastore.no_such_bucket",
// "datastore.no_such_key", "datastore.no_such_upload", "datastore.bucket_exists",
// "datastore.bucket_not_empty", "datastore.condition_failed", "datastore.invalid_part",
// "datastore.invalid_part_order", "datastore.part_too_small", "datastore.checksum_mismatch",
// "datastore.wrong_checksum_type", "datastore.wrong_size". Any thread, many at once.
class Objects {
 public:
  Objects(Env& env, Blobs& blobs, Catalogue& catalogue);

  Result<void> create_bucket(const std::string& bucket);
  // With its unfinished uploads.
  Result<void> delete_bucket(const std::string& bucket);
  Result<BucketRecord> bucket(const std::string& bucket);
  Result<std::vector<BucketRecord>> buckets();

  // Replaces what is there. `record` names its blob, which `pin` holds; modified_at is set here.
  Result<ObjectRecord> put(const ObjectName& name, ObjectRecord record, const BlobPin& pin,
                           const PutCondition& condition = {});
  // The same for bytes at hand.
  Result<ObjectRecord> put_text(const ObjectName& name, std::string_view content_type,
                                std::string_view text);
  // Makes `to` an object of the bytes that `from` was found to have, with the headers and checksum
  // that `record` has. "datastore.no_such_key" when these bytes are gone by now.
  Result<ObjectRecord> copy(const ObjectRecord& from, const ObjectName& to, ObjectRecord record,
                            const PutCondition& condition = {});
  Result<ObjectRecord> find(const ObjectName& name);
  Result<std::unique_ptr<ByteSource>> read(const ObjectRecord& object, std::uint64_t offset,
                                           std::uint64_t length);
  // Removing what is not there succeeds, unless the condition says otherwise.
  Result<void> remove(const ObjectName& name, const PutCondition& condition = {});
  // The same for many, in one step.
  Result<void> remove(const std::string& bucket, std::span<const std::string> keys);
  Result<ListPage> list(const std::string& bucket, const ListQuery& query);
  // Gives the object other headers; a new metageneration.
  Result<ObjectRecord> describe(const ObjectName& name, const StoredHeaders& headers,
                                const PutCondition& condition);
  // Base64; made of the object's bytes when nobody has asked before.
  Result<std::string> crc32c_of(const ObjectName& name, const ObjectRecord& object);

  // `wanted` names bucket, key, headers and what is known of checksums.
  Result<UploadRecord> begin_upload(UploadRecord wanted);
  Result<UploadRecord> upload(const ObjectName& name, const std::string& upload_id);
  // The same for Cloud Storage's resumable form: neither finds the other's.
  Result<UploadRecord> resumable_upload(const ObjectName& name, const std::string& upload_id);
  // The generation that a resumable upload became, for a week; nothing when there was none.
  Result<std::optional<std::int64_t>> finished_upload(const ObjectName& name,
                                                      const std::string& upload_id);
  // Drops resumable uploads that were begun more than a week ago, and multipart uploads of which
  // nothing came for `untouched` (0: never), with their blobs. Gives how many.
  Result<std::size_t> end_abandoned_uploads(Milliseconds untouched);
  // Keeps the part, and `upload.resumable` as it is by now, in one transaction.
  Result<void> put_part(const UploadRecord& upload, PartRecord part, const BlobPin& pin);
  // In order of number.
  Result<std::vector<PartRecord>> parts(const UploadRecord& upload);
  // Makes the object of these parts, in this order; the others are dropped. The object's checksum
  // is that of all its bytes when the upload is of type FULL_OBJECT, else the composite of the
  // parts' when all have the same algorithm.
  Result<ObjectRecord> complete_upload(const UploadRecord& upload, const Completion& completion);
  Result<void> abort_upload(const UploadRecord& upload);

  // Removes blobs that no row names: after a crash, and what replaced objects left.
  Result<std::size_t> collect_garbage();
  // Removes these unless something still names them. Failing leaves garbage, never loses anything.
  void collect(std::span<const std::string> blob_hexes);
  // The same for what a deletion of image sets, studies or stores let go.
  void collect_deleted(std::span<const std::string> blob_hexes);

 private:
  struct Sums {  // of all bytes of an upload
    RunningChecksum checksum;
    std::optional<Md5> md5;  // none: the parts' own make the ETag
  };

  Result<bool> referenced(const Digest& digest);
  Result<UploadRecord> find_upload(const ObjectName& name, const std::string& upload_id,
                                   bool resumable);
  Result<std::vector<PartRecord>> chosen_parts(const UploadRecord& upload,
                                               std::span<const std::pair<int, std::string>> parts);
  // One blob of all.
  Result<BlobPin> join(std::span<const PartRecord> parts, Sums& sums);
  Result<ObjectRecord> put_completed(const UploadRecord& upload, ObjectRecord object,
                                     const BlobPin& pin, const PutCondition& condition);
  // Puts the row in, with its generation, and gives the blob of the object it replaced.
  static Result<std::optional<std::string>> insert_object(sql::Database& database,
                                                          const ObjectName& name,
                                                          ObjectRecord& object,
                                                          const PutCondition& condition);

  Env& env_;
  Blobs& blobs_;
  Catalogue& catalogue_;
};

}  // namespace isthmus::datastore
