// The HealthImaging face of the data store (medical-imaging, 2023-07-19): data stores, import jobs,
// image sets, search and metadata. Its "runtime-" hosts are the same handler: paths do not collide.
// Form of everything: contracts/healthimaging/README.md, through wire/healthimaging.h.
#pragma once

#include <functional>
#include <string>

#include "datastore/api/gate.h"
#include "datastore/api/throttle.h"
#include "datastore/engine/data_stores.h"
#include "datastore/engine/image_set_store.h"
#include "datastore/engine/import_jobs.h"
#include "http/router.h"
#include "wire/healthimaging.h"

namespace isthmus::datastore {

class HealthImagingApi : public http::Handler {
 public:
  struct Parts {
    DataStores& data_stores;
    ImportJobs& import_jobs;
    ImageSetStore& image_sets;
    std::function<void()> job_accepted;  // a hint for whoever works on jobs
  };
  HealthImagingApi(Env& env, const Gate& gate, const DataStoreOptions& options, Parts parts);
  std::unique_ptr<http::Exchange> open(const http::Head& head) override;
  // Whether an unsigned request is meant for this face.
  static bool claims_path(std::string_view path);

 private:
  using Answer = Result<http::Response>;
  using Action = std::function<Answer(const wire::healthimaging::Incoming&)>;

  void route(std::string method, std::string_view path_template, Action action);
  http::Response answer(const http::Head& head, const http::PathParameters& path,
                        const std::string& body, const Action& action);
  http::Response refusal(const Error& error, const std::string& request_id);
  Result<void> admit(const http::Head& head, const std::string& body);
  std::string data_store_arn(const std::string& data_store) const;

  Answer create_data_store(const wire::healthimaging::Incoming& incoming);
  Answer get_data_store(const wire::healthimaging::Incoming& incoming);
  Answer list_data_stores(const wire::healthimaging::Incoming& incoming);
  Answer delete_data_store(const wire::healthimaging::Incoming& incoming);
  Answer start_import(const wire::healthimaging::Incoming& incoming);
  Answer get_import(const wire::healthimaging::Incoming& incoming);
  Answer list_imports(const wire::healthimaging::Incoming& incoming);
  Answer get_image_set(const wire::healthimaging::Incoming& incoming);
  Answer list_versions(const wire::healthimaging::Incoming& incoming);
  Answer get_metadata(const wire::healthimaging::Incoming& incoming);
  Answer search(const wire::healthimaging::Incoming& incoming);

  Env& env_;
  const Gate& gate_;
  const std::string region_, account_id_;
  Parts parts_;
  Throttle start_throttle_;
  http::Router router_;
};

}  // namespace isthmus::datastore
