// The embedded data store: an imaging store that speaks S3, AWS HealthImaging, Cloud Storage and
// Cloud Healthcare over HTTP. It is a server: it knows nothing of the gateway, and the gateway
// talks to it as to a cloud.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "http/http.h"

namespace isthmus::auth {
class JwtVerifier;
}

namespace isthmus::datastore {

struct AccessKey {
  std::string access_key_id;
  std::string secret_access_key;
  // A key for one data store (name or id) and these buckets; empty: for everything.
  std::string data_store = {};
  std::vector<std::string> buckets = {};
};

struct DataStoreOptions {
  FileSystem::Path directory;          // blobs/, frames/, catalogue.sqlite, catalogue.lock
  FileSystem::Path worker_program;     // isthmus-import-worker; files are examined in its processes
  std::vector<AccessKey> access_keys;  // who may call, by SigV4; none: everybody (tests only)
  std::string region = "us-east-1";
  std::string account_id = "123456789012";
  // Names below which a bucket's name is a host's (S3 virtual-hosted style): bucket.localhost.
  std::vector<std::string> virtual_hosts = {"localhost"};
  // Stand in for a virtual machine's metadata server: an access token of the Google faces for
  // whoever asks from a loopback address.
  bool google_metadata_server = false;
  std::string google_project = "isthmus";
  // Whose tokens are taken beside signatures, by DICOMweb and the Google faces; null: nobody's. It
  // must outlive the data store. A token needs the scope.
  auth::JwtVerifier* identity_provider = nullptr;
  std::string identity_scope = "datastore";
  std::size_t import_workers = 2;     // processes
  Milliseconds file_timeout{30'000};  // one file in a worker, then that file fails
  std::uint64_t worker_memory_bytes =
      1 * GiB;                       // address space of a worker, above what it starts with
  Milliseconds clock_skew{900'000};  // of a signed request
  // Multipart uploads of S3 of which nothing came for so long are dropped; 0: never.
  Milliseconds upload_life{7LL * 24 * 3600 * 1000};
  // STOW-RS requests that may wait for their import at once: fewer than the server has threads.
  std::size_t stores_at_once = 3;
  // A request's body of those to Google's face; to the other, HealthImaging's 1 GB.
  std::uint64_t max_google_store_bytes = 16 * GiB;
  std::uint64_t frame_cache_bytes = 2 * GiB;  // of frames made once; 0: none is kept
  // Quotas (contracts/healthimaging/quotas.json); 0: no limit.
  std::int64_t max_files_per_job = 5000;
  std::uint64_t max_bytes_per_job = 10'000'000'000;
  std::int64_t max_concurrent_jobs = 100;
  std::int64_t max_datastores = 100;
  double start_jobs_per_second = 0;         // 0: not throttled, unless all operations are
  bool throttled = false;                   // the rates of quotas.json, per operation
  std::int64_t max_concurrent_changes = 0;  // of one kind (update, copy, delete), per data store
  std::int64_t max_frames_per_copy = 0;
  std::uint64_t max_update_bytes = 0;
  std::uint64_t max_metadata_bytes = 0;  // that an update or a copy may make of a set's document
  std::size_t max_tags = 50;             // of one resource
  bool event_log = false;  // events.ndjson in the directory gets a line for each event
  // UIDs of primary image sets may be changed by a forced update. The developer guide says not.
  bool primary_uid_updates = false;
  // Image sets that nobody read or changed for so long are in the archive tier; 0: none.
  Milliseconds archive_after{30LL * 24 * 3600 * 1000};
};

class DataStore {
 public:
  virtual ~DataStore() = default;
  // All APIs on one handler: what is signed by Signature Version 4 by its scope, else by paths;
  // what is no other's is S3's.
  virtual http::Handler& handler() = 0;
  // Makes bucket and data store when they are not there (by name), and gives the data store's id.
  virtual Result<std::string> provision(const std::string& bucket,
                                        const std::string& datastore_name) = 0;
  // Import jobs are worked on from here on; those of an earlier run go on first.
  virtual void start() = 0;
  // Ends after the file in hand. Safe twice and before start().
  virtual void stop() = 0;
};

// "datastore.locked" (permanent) when another process has it; "datastore.io" (fatal).
Result<std::unique_ptr<DataStore>> open_data_store(Env& env, DataStoreOptions options);

}  // namespace isthmus::datastore
