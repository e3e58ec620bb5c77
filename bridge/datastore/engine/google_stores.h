// Google's view of the data stores: datasets, DICOM stores in them (each with a data store of its
// own), long-running operations, and the log of files that imports refused. Source:
// contracts/google-healthcare.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "datastore/engine/catalogue.h"
#include "datastore/engine/data_stores.h"
#include "datastore/engine/dicom_index.h"
#include "datastore/engine/import_jobs.h"

namespace isthmus::datastore {

struct GoogleDataset {
  std::string name;  // "projects/p/locations/l/datasets/d"
  std::string time_zone;
};
struct GoogleStore {
  std::string name;  // "<dataset>/dicomStores/s"
  std::string data_store;
  std::string labels;  // JSON object
};
struct GoogleOperation {
  std::int64_t id = 0;
  std::string dataset;
  std::string store;  // empty: not of a store
  std::string job;    // of an import; empty: done when it was made
  std::string method;
  std::string response;  // JSON, when there is no error
  WallTime created_at;
  std::optional<WallTime> ended_at;
  bool cancel_requested = false;
  std::int64_t success = 0, failure = 0, pending = 0;
  std::int64_t error_code = 0;  // google.rpc.Code; 0: none
  std::string error_message;
};
struct ImportRefusal {
  std::int64_t operation = 0;
  std::string store;
  std::string source;  // "gs://bucket/key"
  std::int64_t code = 0;
  std::string message;
};
struct StoreMetrics {
  std::int64_t studies = 0, series = 0, instances = 0;
  std::uint64_t blob_bytes = 0;
};

// Errors, besides those of the catalogue and DataStores, all permanent: "NOT_FOUND",
// "ALREADY_EXISTS", "FAILED_PRECONDITION". Any thread.
class GoogleStores {
 public:
  GoogleStores(Env& env, Catalogue& catalogue, DataStores& data_stores, ImportJobs& jobs)
      : env_(env), catalogue_(catalogue), data_stores_(data_stores), jobs_(jobs) {}

  // An operation that is done.
  Result<GoogleOperation> create_dataset(const GoogleDataset& wanted);
  Result<GoogleDataset> dataset(const std::string& name);
  // Below "projects/p/locations/l", behind `after`.
  Result<std::vector<GoogleDataset>> datasets(const std::string& location, const std::string& after,
                                              std::size_t limit);
  // With its stores and all they hold. Gives the blobs that may be garbage.
  Result<std::vector<std::string>> remove_dataset(const std::string& name);

  Result<GoogleStore> create_store(const std::string& dataset, const std::string& id,
                                   const std::string& labels);
  Result<GoogleStore> store(const std::string& name);
  Result<std::vector<GoogleStore>> stores(const std::string& dataset, const std::string& after,
                                          std::size_t limit);
  Result<std::vector<std::string>> remove_store(const std::string& name);

  struct Removal {
    GoogleOperation operation;         // done when it is told; none for a single instance
    std::vector<std::string> garbage;  // blobs that it may have been the last to name
  };
  // A study, a series, or an instance, at once and for good: no version of it is left. "NOT_FOUND"
  // when there is nothing of it, "FAILED_PRECONDITION" while an image set of it is being changed.
  Result<Removal> remove(const GoogleStore& store, const InstancePath& path);

  // `uri` was checked (ObjectPattern). The job goes on by itself from here.
  Result<GoogleOperation> import(const GoogleStore& store, const std::string& uri);
  // Of that dataset.
  Result<GoogleOperation> operation(const std::string& dataset, std::int64_t id);
  Result<std::vector<GoogleOperation>> operations(const std::string& dataset,
                                                  std::optional<bool> done, std::int64_t after,
                                                  std::size_t limit);
  // It ends soon; what it has imported stays.
  Result<void> cancel(const std::string& dataset, std::int64_t id);
  // Of stores whose name begins with `below`; of one operation, unless it is 0.
  Result<std::vector<ImportRefusal>> refusals(const std::string& below, std::int64_t operation,
                                              std::size_t limit);
  // Of a study or series, when they are not empty. "NOT_FOUND" when there is nothing of it.
  Result<StoreMetrics> metrics(const GoogleStore& store, const std::string& study,
                               const std::string& series);

 private:
  Env& env_;
  Catalogue& catalogue_;
  DataStores& data_stores_;
  ImportJobs& jobs_;
};

}  // namespace isthmus::datastore
