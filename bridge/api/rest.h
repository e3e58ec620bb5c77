// The REST API of the gateway, /v1: what it knows, and what people may order. Described by
// api/openapi.yaml, which a test holds against the routes and the answers.
//
//   GET  /v1/studies                              (read) newest first; filters and pages as below
//   GET  /v1/studies/{study}                      with its series
//   GET  /v1/studies/{study}/timeline             history of all its instances, batches and jobs
//   GET  /v1/studies/{study}/receipt              JSON, or CSV by Accept: text/csv or ?format=csv
//   POST /v1/studies/{study}/retry                (operate)
//   GET  /v1/instances, /v1/instances/{id}
//   GET  /v1/batches, /v1/batches/{id}
//   GET  /v1/import-jobs, /v1/import-jobs/{id}    with where the job's manifests are
//   GET  /v1/quarantine                           what asks for a person, and why
//   POST /v1/studies/{study}/discard, /v1/deliveries/{id}/discard    {"reason"} (operate)
//   POST /v1/deliveries/{id}/retry, /v1/batches/{id}/retry    (operate)
//   GET  /v1/senders, /v1/destinations
//   POST /v1/destinations/{name}/pause, /v1/destinations/{name}/resume        (operate)
//   GET  /v1/drain                                what is on its way still, and whether all is done
//   POST /v1/drain                                {"draining": true}; false ends it (operate)
//   GET  /v1/routes                               every call there is, and the scope it needs
//   GET  /v1/events                               server-sent events, while listened to
//
// Lists answer {"items": […], "next": "<cursor>"}; `next` is missing on the last page, ?cursor=
// goes on there. A page may be empty and still have a next: a page costs a bounded walk.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "api/guarded_router.h"
#include "ledger/ledger.h"
#include "ledger/overview.h"
#include "pipeline/pause.h"
#include "pipeline/scheduler.h"
#include "senders/desk.h"
#include "spool/admission.h"

namespace isthmus::api {

struct DestinationFace {
  std::string name;
  std::string kind;  // "embedded"
  std::string bucket;
  std::string object_prefix;
  const Scheduler* scheduler = nullptr;  // none: its condition is not told
};

// References outlive the router.
struct RestParts {
  Env& env;
  Ledger& ledger;
  Overview& overview;
  SenderDesk& desk;
  PauseBoard& pause_board;
  std::vector<Sender> configured_senders;
  std::vector<DestinationFace> destinations;
  Admission& admission;
  // Waits until the ledger has rows of all that senders were told is stored.
  std::function<Result<void>()> catch_up;
};

void add_rest_routes(GuardedRouter& router, const RestParts& parts);

}  // namespace isthmus::api
