// A data store on a folder of its own, with a client's hands: requests that are signed and sent
// over the loopback, as the bridge does it.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/digest.h"
#include "datastore/datastore.h"
#include "http/loopback.h"
#include "support/matchers.h"
#include "support/test_env.h"
#include "wire/healthimaging.h"
#include "wire/sigv4.h"

namespace isthmus::test {

inline const datastore::AccessKey kKey{"TESTKEY", "test-secret"};

struct Answer {
  int status = 0;
  http::Headers headers;
  std::string body;

  nlohmann::json json() const { return nlohmann::json::parse(body, nullptr, false); }
};

// What the worker would say about a file, as the content of that file (see fake_import_worker.cc).
struct FakeInstance {
  std::string sop = "1.2.3.1.1";
  std::string series = "1.2.3.1";
  std::string study = "1.2.3";
  std::string patient_id = "P1";
  std::string patient_name = "DOE^JANE";
  std::string accession = "A1";
  std::string study_date = "20240131";
  std::string study_time = "093000";
  std::string series_number = "2";
  nlohmann::json warnings = nlohmann::json::array();

  std::string text() const;
};

class StoreKit {
 public:
  explicit StoreKit(datastore::DataStoreOptions options = {});

  // The options used; `folder` for another directory of the same test.
  datastore::DataStoreOptions options(const std::string& folder = "store") const;
  // Opens (again). The store before it is closed first.
  void open(const std::string& folder = "store");
  void close() { store_.reset(); }
  datastore::DataStore& store() { return *store_; }
  TestEnv& env() { return env_; }

  // Signed for S3, unless `unsigned_payload` says otherwise with the body's hash in the signature.
  Answer s3(const std::string& method, const std::string& target, std::string body = {},
            http::Headers headers = {});
  // Signed for HealthImaging.
  Answer imaging(const std::string& method, const std::string& target, std::string body = {});
  Answer imaging(const wire::healthimaging::Call& call) {
    return imaging(call.method, call.target, call.body);
  }
  // As it is, not signed.
  Answer raw(http::Request request);
  http::Request request(const std::string& method, const std::string& target, std::string body,
                        http::Headers headers = {});

  // How many image sets the catalogue still has a patient's name for, and words of one.
  std::int64_t names_kept() const;

  std::string make_data_store(const std::string& name = "store");
  // Starts an import of s3://in/<prefix>/ to s3://out/<prefix>/ and gives the job's id.
  std::string start_import(const std::string& data_store, const std::string& prefix,
                           const std::string& token);
  // Waits for the job's end and gives its properties.
  nlohmann::json wait_for(const std::string& data_store, const std::string& job);
  // Puts the files under in/<prefix>/, imports them, and waits for the end.
  nlohmann::json import(const std::string& data_store, const std::string& prefix,
                        const std::map<std::string, std::string>& files);
  // An output file of a job: "job-output-manifest.json", "SUCCESS/success.ndjson", …
  std::string output(const nlohmann::json& job, const std::string& name);
  std::vector<nlohmann::json> lines(const nlohmann::json& job, const std::string& name);
  nlohmann::json manifest(const nlohmann::json& job);

 private:
  TestEnv env_{1};
  datastore::DataStoreOptions options_;
  std::unique_ptr<datastore::DataStore> store_;
};

}  // namespace isthmus::test
