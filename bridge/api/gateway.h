// The gateway's own HTTP faces: health, metrics, and the control calls of the command line.
//
//   GET  /healthz         200 while the process works; 503 after a fatal error
//   GET  /readyz          200 when new instances are taken; 503 with the reason otherwise
//   GET  /metrics         Prometheus text, format 0.0.4
//   POST /control/retry   {"what": "<uid, id or all>"} → {"moved": 3}; needs the control token
//   POST /control/resend  {"transaction": "<Transaction UID>"} → {"moved": 1}; likewise
//   POST /control/reload  certificates anew → {"changed": true}; 409 when the files are no good and
//                         the old ones stay in force; needs the control token
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "http/http.h"
#include "http/router.h"
#include "ledger/ledger.h"
#include "spool/admission.h"

namespace isthmus::api {

struct GatewayOptions {
  // "Authorization: Bearer <token>" of control calls. Empty refuses all of them.
  std::string control_token;
  // Loads certificates anew; true: they changed. Any thread. Empty: there are none.
  std::function<Result<bool>()> reload_certificates = {};
};

// Registers gauges of the ledger's states with `env.metrics` too. References must outlive it.
std::unique_ptr<http::Router> make_gateway_router(Env& env, Ledger& ledger, Admission& admission,
                                                  GatewayOptions options);

}  // namespace isthmus::api
