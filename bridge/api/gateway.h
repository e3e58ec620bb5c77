// The gateway's own HTTP faces: health, metrics, and the control calls of the command line.
//
//   GET  /healthz         200 while the process works; 503 after a fatal error. Open to all
//   GET  /readyz          200 when new instances are taken; 503 with the reason otherwise. Likewise
//   GET  /metrics         Prometheus text, format 0.0.4 (read)
//   POST /control/retry   {"what": "<uid, id or all>"} → {"moved": 3} (operate)
//   POST /control/discard {"what": "<uid or id>", "reason": "…"} → {"moved": 3} (operate)
//   POST /control/resend  {"transaction": "<Transaction UID>"} → {"moved": 1} (operate)
//   POST /control/reload  certificates anew → {"changed": true}; 409 when the files are no good and
//                         the old ones stay in force (admin)
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "api/guarded_router.h"
#include "ledger/ledger.h"
#include "spool/admission.h"

namespace isthmus::api {

struct GatewayOptions {
  // Loads certificates anew; true: they changed. Any thread. Empty: there are none.
  std::function<Result<bool>()> reload_certificates = {};
};

// discard_ordered of what has this UID or id, with the "reason" of a JSON body and, in it, who
// gave the order: the answer is {"moved"}.
http::Response discard(Ledger& ledger, const std::string& uid_or_id, const nlohmann::json& order,
                       const std::string& caller);

// Registers gauges of the ledger's states with `env.metrics` too. References must outlive it.
void add_gateway_routes(GuardedRouter& router, Env& env, Ledger& ledger, Admission& admission,
                        GatewayOptions options);

}  // namespace isthmus::api
