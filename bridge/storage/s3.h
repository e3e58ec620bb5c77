// ObjectStore over Amazon S3's REST API (path-style or virtual-host), SigV4 signed.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "auth/credentials.h"
#include "http/http.h"
#include "http/retrying.h"
#include "storage/object_store.h"
#include "storage/upload_sessions.h"

namespace isthmus {

// How objects are encrypted where they lie: as the bucket's own default says, with keys of S3
// (AES256), or with a key of the Key Management Service.
enum class S3Encryption { bucket, s3, kms };

struct S3Options {
  std::string endpoint;  // "http://127.0.0.1:9000", "https://s3.eu-central-1.amazonaws.com"
  std::string region = "us-east-1";
  std::string bucket;
  bool path_style = true;
  std::uint64_t multipart_threshold_bytes = 64 * MiB;  // larger objects go up in parts
  // At least 5 MiB (S3 UploadPart). Each put in parts holds one in memory at a time.
  std::uint64_t part_bytes = 8 * MiB;
  std::size_t parts_at_once = 8;  // of all puts: those beyond wait for their turn
  int list_page_keys = 1000;      // at most 1000 (ListObjectsV2)
  S3Encryption encryption = S3Encryption::bucket;
  std::string kms_key_id = {};  // with kms; empty: the account's default key
  // Account id: a bucket of another owner is refused. Empty: any.
  std::string expected_bucket_owner = {};
  std::string storage_class = {};  // "STANDARD_IA"; empty: the bucket's default
  // Of every object we put: names and values.
  std::vector<std::pair<std::string, std::string>> object_tags = {};
  // Lets uploads that were cut off go on where they were; none: they begin anew.
  UploadSessions* sessions = nullptr;
  http::RetryPolicy retry;
};

// `transport` and `credentials` must outlive it.
std::unique_ptr<ObjectStore> make_s3_store(Env& env, http::Transport& transport,
                                           CredentialsSource& credentials, S3Options options);

}  // namespace isthmus
