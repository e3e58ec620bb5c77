// ObjectStore over Amazon S3's REST API (path-style or virtual-host), SigV4 signed.
#pragma once

#include <memory>
#include <string>

#include "auth/credentials.h"
#include "http/http.h"
#include "http/retrying.h"
#include "storage/object_store.h"

namespace isthmus {

struct S3Options {
  std::string endpoint;  // "http://127.0.0.1:9000", "https://s3.eu-central-1.amazonaws.com"
  std::string region = "us-east-1";
  std::string bucket;
  bool path_style = true;
  std::uint64_t multipart_threshold_bytes = 64 * MiB;  // larger objects go up in parts
  // At least 5 MiB (S3 UploadPart). Each put in parts holds this much in memory.
  std::uint64_t part_bytes = 16 * MiB;
  int list_page_keys = 1000;  // at most 1000 (ListObjectsV2)
  http::RetryPolicy retry;
};

// `transport` and `credentials` must outlive it.
std::unique_ptr<ObjectStore> make_s3_store(Env& env, http::Transport& transport,
                                           CredentialsSource& credentials, S3Options options);

}  // namespace isthmus
