// The HealthImaging face of the data store (medical-imaging, 2023-07-19): data stores, import jobs,
// image sets, search, metadata and frames. Its "runtime-" hosts are the same handler: paths do not
// collide.
// Form of everything: contracts/healthimaging/README.md, through wire/healthimaging.h.
#pragma once

#include <functional>
#include <string>

#include "datastore/api/gate.h"
#include "datastore/api/throttle.h"
#include "datastore/engine/data_stores.h"
#include "datastore/engine/events.h"
#include "datastore/engine/frame_store.h"
#include "datastore/engine/image_set_changes.h"
#include "datastore/engine/image_set_store.h"
#include "datastore/engine/import_jobs.h"
#include "datastore/engine/tags.h"
#include "http/router.h"
#include "wire/healthimaging.h"

namespace isthmus::datastore {

class HealthImagingApi : public http::Handler {
 public:
  struct Parts {
    DataStores& data_stores;
    ImportJobs& import_jobs;
    ImageSetStore& image_sets;
    ImageSetChanges& changes;
    Tags& tags;
    Events& events;
    FrameStore& frames;
    std::function<void()> job_accepted;  // a hint for whoever works on jobs
  };
  HealthImagingApi(Env& env, const Gate& gate, const DataStoreOptions& options, Parts parts);
  std::unique_ptr<http::Exchange> open(const http::Head& head) override;
  // Whether an unsigned request is meant for this face.
  static bool claims_path(std::string_view path);

 private:
  using Answer = Result<http::Response>;
  using Operation = Answer (HealthImagingApi::*)(const wire::healthimaging::Incoming&);

  void route(std::string method, std::string_view path_template, std::string_view operation,
             Operation action);
  std::unique_ptr<Throttle> make_throttle(std::string_view operation) const;
  http::Response answer(const http::Head& head, const http::PathParameters& path,
                        const std::string& body, Operation action, Throttle& throttle);
  http::Response answer_events(const http::Head& head, const std::string& body);
  http::Response refusal(const Error& error, const std::string& request_id);
  Result<void> admit(const http::Head& head, const std::string& body);
  // A key for one data store is for nothing else.
  Result<void> allow(const http::Head& head, const http::PathParameters& path,
                     const std::string& body);
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
  Answer get_frame(const wire::healthimaging::Incoming& incoming);
  Answer get_metadata(const wire::healthimaging::Incoming& incoming);
  Answer search(const wire::healthimaging::Incoming& incoming);
  Answer update_metadata(const wire::healthimaging::Incoming& incoming);
  Answer copy_image_set(const wire::healthimaging::Incoming& incoming);
  Answer delete_image_set(const wire::healthimaging::Incoming& incoming);
  Answer tag_resource(const wire::healthimaging::Incoming& incoming);
  Answer untag_resource(const wire::healthimaging::Incoming& incoming);
  Answer list_tags(const wire::healthimaging::Incoming& incoming);
  wire::healthimaging::CopiedImageSetProperties copied(const std::string& data_store,
                                                       const ImageSetVersionRecord& record) const;
  std::string storage_tier(WallTime updated_at, std::optional<WallTime> accessed_at) const;

  Env& env_;
  const Gate& gate_;
  const std::string region_, account_id_;
  const Milliseconds archive_after_;
  const bool throttled_;
  const double start_jobs_per_second_;
  Parts parts_;
  std::vector<std::unique_ptr<Throttle>> throttles_;  // of the operations
  http::Router router_;
};

}  // namespace isthmus::datastore
