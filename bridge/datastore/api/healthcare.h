// The Cloud Healthcare face of the data store (API v1 and v1beta1, DICOM parts): datasets and DICOM
// stores (create, get, list, delete), import from a bucket, operations (get, list, cancel),
// metrics, and the log entries of refused files as Cloud Logging lists them. Source:
// contracts/google-healthcare.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "datastore/api/google_tokens.h"
#include "datastore/engine/google_stores.h"
#include "datastore/engine/objects.h"
#include "http/http.h"
#include "http/router.h"

namespace isthmus::datastore {

struct HealthcareCall;

class HealthcareApi : public http::Handler {
 public:
  struct Parts {
    GoogleTokens& tokens;
    GoogleStores& stores;
    Objects& objects;
    std::function<void()> job_accepted;
  };
  HealthcareApi(Env& env, Parts parts);
  std::unique_ptr<http::Exchange> open(const http::Head& head) override;
  // "/v1/projects/…", "/v1beta1/projects/…", "/v2/entries:list".
  static bool claims_path(std::string_view path);

 private:
  using Answer = Result<http::Response>;
  using Action = Answer (HealthcareApi::*)(const HealthcareCall&);

  void route(std::string method, const std::string& below_version, Action action);
  http::Response finished(Answer answer);

  Answer create_dataset(const HealthcareCall& call);
  Answer list_datasets(const HealthcareCall& call);
  Answer get_dataset(const HealthcareCall& call);
  Answer delete_dataset(const HealthcareCall& call);
  Answer create_store(const HealthcareCall& call);
  Answer list_stores(const HealthcareCall& call);
  Answer get_store(const HealthcareCall& call);
  Answer delete_store(const HealthcareCall& call);
  Answer on_store(const HealthcareCall& call);  // POST {store}:import
  Answer list_operations(const HealthcareCall& call);
  Answer get_operation(const HealthcareCall& call);
  Answer on_operation(const HealthcareCall& call);  // POST {operation}:cancel
  Answer study_metrics(const HealthcareCall& call);
  Answer delete_instances(const HealthcareCall& call);
  Answer list_entries(const HealthcareCall& call);
  Answer metrics(const HealthcareCall& call, const char* verb, const std::string& study,
                 const std::string& series);

  Env& env_;
  Parts parts_;
  http::Router router_;
};

}  // namespace isthmus::datastore
