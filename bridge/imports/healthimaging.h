// ImportService and MetadataService over AWS HealthImaging (contracts/healthimaging).
#pragma once

#include <memory>
#include <string>

#include "auth/credentials.h"
#include "http/http.h"
#include "http/retrying.h"
#include "imports/import_service.h"
#include "imports/metadata_service.h"
#include "storage/object_store.h"

namespace isthmus {

struct HealthImagingOptions {
  std::string endpoint;  // "http://127.0.0.1:8181"; no host prefix is added
  std::string region = "us-east-1";
  std::string datastore_id;
  std::string bucket;  // input and output bucket, the one that `output` reads
  std::string data_access_role_arn;
  std::string input_owner_account_id;  // empty: not sent
  std::string import_configuration;    // JSON of the model's ImportConfiguration; empty: not sent
  ImportLimits limits;
  http::RetryPolicy retry;
};

// `transport`, `credentials` and `output` (the bucket with the manifests) must outlive it.
std::unique_ptr<ImportService> make_healthimaging_import(Env& env, http::Transport& transport,
                                                         CredentialsSource& credentials,
                                                         ObjectStore& output,
                                                         HealthImagingOptions options);

struct HealthImagingMetadataOptions {
  std::string endpoint;
  std::string region = "us-east-1";
  std::string datastore_id;
  MetadataLimits limits;
  std::uint64_t max_update_bytes = 10'000;  // both documents; quotas.json, "payload, KB"
  std::uint64_t max_metadata_bytes =
      64 * MiB;  // of a metadata document, unpacked; the quota is 50 MB
  http::RetryPolicy retry;
};

// `transport` and `credentials` must outlive it.
std::unique_ptr<MetadataService> make_healthimaging_metadata(Env& env, http::Transport& transport,
                                                             CredentialsSource& credentials,
                                                             HealthImagingMetadataOptions options);

}  // namespace isthmus
